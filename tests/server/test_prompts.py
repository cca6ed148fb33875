"""Prompts for the three main jobs, and completion of ids, colors and products."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from kb_pictures import new_picture
from mcp import Client, MCPError
from mcp.types import PromptReference, ResourceTemplateReference
from small_tools import ERAS, small_studio

from agent_tools.callers import acting_as
from agent_tools.personas import Persona
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from server.mcp import build_server

pytestmark = pytest.mark.anyio


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return small_studio(Settings(data=tmp_path / "data"))


@pytest.fixture(params=ERAS)
async def client(request: pytest.FixtureRequest, studio: Studio) -> AsyncIterator[Client]:
    async with Client(build_server(studio), mode=request.param) as client:
        yield client


async def said(client: Client, name: str, /, **arguments: str) -> str:
    (message,) = (await client.get_prompt(name, arguments)).messages
    assert message.role == "user"
    return str(message.content.text)  # type: ignore[union-attr]


async def completed(client: Client, reference: Any, /, **argument: str) -> list[str]:
    ((name, value),) = argument.items()
    answer = await client.complete(reference, {"name": name, "value": value})
    assert len(answer.completion.values) <= 100
    return answer.completion.values


def of_prompt(name: str) -> PromptReference:
    return PromptReference(type="ref/prompt", name=name)


def of_template(uri: str) -> ResourceTemplateReference:
    return ResourceTemplateReference(type="ref/resource", uri=uri)


async def test_each_main_job_has_a_prompt_that_names_its_tools(client: Client) -> None:
    listed = {prompt.name: prompt for prompt in (await client.list_prompts()).prompts}
    assert sorted(listed) == ["diagram", "persona", "product_variants"]
    for prompt in listed.values():
        assert prompt.title and prompt.description
        assert all(argument.description for argument in prompt.arguments or [])
    text = await said(client, "product_variants", product="teapot", colors="sage, navy")
    assert "create_product_variants" in text and "sage, navy" in text and "export_to_kb" in text
    photo = await said(client, "product_variants", product="img_0", colors="sage")
    assert "with image_id" in photo and "with product" not in photo
    assert "draw_diagram" in await said(client, "diagram", process="order, pay, ship")
    new = await said(client, "persona", name="Ada", description="red hair")
    known = await said(client, "persona", name="per_ada_1")
    assert "with name and description" in new and "red hair" in new
    assert "with this persona_id" in known


async def test_a_prompt_without_what_it_needs_is_an_error(client: Client) -> None:
    with pytest.raises(MCPError, match="colors"):
        await client.get_prompt("product_variants", {"product": "teapot"})
    with pytest.raises(MCPError):
        await client.get_prompt("nothing", {})


async def test_ids_are_completed_newest_first(client: Client, studio: Studio) -> None:
    old, new = (studio.gallery.add([new_picture(name)])[0] for name in ("teapot", "lamp"))
    for uri in ("image://{image_id}", "recipe://{image_id}"):
        found = await completed(client, of_template(uri), image_id="")
        assert found == [new.image_id, old.image_id]
    start = old.image_id[:12]
    assert await completed(client, of_template("image://{image_id}"), image_id=start) == [
        old.image_id
    ]
    assert await completed(client, of_template("image://{image_id}"), path="") == []


async def test_personas_are_completed_for_templates_and_prompts(
    client: Client, studio: Studio
) -> None:
    for name in ("ada", "mina"):
        studio.personas.save(
            Persona(
                persona_id=f"per_{name}_1",
                name=name,
                description="",
                appearance="",
                seed=1,
                model="starter",
            )
        )
    template = of_template("persona://{persona_id}")
    assert await completed(client, template, persona_id="") == ["per_ada_1", "per_mina_1"]
    assert await completed(client, template, persona_id="mina") == ["per_mina_1"]
    assert await completed(client, of_prompt("persona"), name="per_a") == ["per_ada_1"]


async def test_the_last_color_of_a_list_is_completed(client: Client) -> None:
    prompt = of_prompt("product_variants")
    assert (await completed(client, prompt, colors="sag"))[0] == "sage"
    found = await completed(client, prompt, colors="sage, nav")
    assert found[0] == "sage, navy"
    assert all(value.startswith("sage, ") for value in found)
    assert not [v for v in await completed(client, prompt, colors="red,") if v.endswith(", red")]


async def test_products_of_the_gallery_are_completed(client: Client, studio: Studio) -> None:
    studio.gallery.add([new_picture("x", metadata={"product": "ceramic teapot"})])
    (photo,) = studio.gallery.add([new_picture("photo", kind="upload")])
    found = await completed(client, of_prompt("product_variants"), product="")
    assert found == ["ceramic teapot", photo.image_id]


@pytest.mark.parametrize("typed", ["\x00", "%", "*" * 5000, "🙂", "../../etc/passwd"])
async def test_anything_may_be_typed(typed: str, client: Client) -> None:
    for name in ("colors", "product", "scene", "unknown"):
        assert await completed(client, of_prompt("product_variants"), **{name: typed}) == []
    assert await completed(client, of_prompt("no such prompt"), kind=typed) == []


async def test_completion_tells_nobody_about_the_pictures_of_others(tmp_path: Path) -> None:
    studio = small_studio(Settings(data=tmp_path / "data"))
    with acting_as("ada", {"read"}):
        studio.gallery.add([new_picture("teapot", metadata={"product": "secret teapot"})])
    for caller, scopes in (("mina", {"read"}), ("ada", {"generate"})):
        with acting_as(caller, scopes):
            async with Client(build_server(studio)) as client:
                template = of_template("image://{image_id}")
                assert await completed(client, template, image_id="") == []
                prompt = of_prompt("product_variants")
                assert await completed(client, prompt, product="") == []
    with acting_as("ada", {"read"}):
        async with Client(build_server(studio)) as client:
            assert len(await completed(client, of_template("image://{image_id}"), image_id="")) == 1
