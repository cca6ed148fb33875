"""Relative paths in a settings file belong to its folder, those of flags to the working folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent_tools.errors import BadSettings
from agent_tools.policy_file import load_policy
from agent_tools.settings import Settings, load_settings


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model, beside the working folder."""
    (tmp_path / "shop" / "models" / "mine").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "shop"


def settings_of(shop: Path, text: str, **environ: str) -> Settings:
    (shop / "agent-tools.toml").write_text(text)
    return load_settings(config=Path("../shop/agent-tools.toml"), environ=environ)


@pytest.mark.parametrize("name", ["data", "policy", "c2pa_certificate", "c2pa_key"])
def test_a_path_in_a_file_is_relative_to_the_file(name: str, shop: Path) -> None:
    found = getattr(settings_of(shop, f'{name} = "sub/it"'), name)
    assert found.is_absolute() and found.resolve() == shop / "sub" / "it"
    assert getattr(settings_of(shop, f'{name} = "/it"'), name) == Path("/it")
    assert getattr(settings_of(shop, f'{name} = "~/it"'), name) == Path.home() / "it"


def test_environment_and_flags_stay_relative_to_the_working_folder(shop: Path) -> None:
    found = settings_of(shop, "", AGENT_TOOLS_POLICY="rules.toml", AGENT_TOOLS_MODEL="models/mine")
    assert found.policy == Path.cwd() / "rules.toml" and found.model == "models/mine"
    assert load_settings({"data": Path("data")}, environ={}).data == Path.cwd() / "data"


@pytest.mark.parametrize(
    "name", ["model", "checker", "controlnet", "upscaler", "segmenter", "captioner", "encoder"]
)
def test_a_models_folder_in_a_file_is_relative_to_the_file(name: str, shop: Path) -> None:
    for said in ("models/mine", "./models/mine", "models/missing", "../shop/models/mine"):
        found = Path(getattr(settings_of(shop, f'{name} = "{said}"'), name))
        assert found.is_absolute() and found.resolve().parent == shop / "models"


@pytest.mark.parametrize("said", ["starter", "owner/name", "owner/name@" + "0" * 40])
def test_hub_ids_and_known_names_stay(said: str, shop: Path) -> None:
    (shop / "starter").mkdir()
    assert settings_of(shop, f'model = "{said}"').model == said


def test_lists_aliases_and_knowledge_bases_are_placed_too(shop: Path) -> None:
    found = settings_of(
        shop,
        'models = ["models/mine", "starter"]\nmodel_aliases = "dall-e-3=models/mine, x=starter"\n'
        'kb = "folder:kb"\n',
    )
    mine = Path(found.models[0])
    assert mine.resolve() == shop / "models" / "mine" and found.models[1] == "starter"
    assert found.aliases == {"dall-e-3": str(mine), "x": "starter"}
    assert Path(found.kb_target.removeprefix("folder:")).resolve() == shop / "kb"
    assert settings_of(shop, 'kb = "s3://bucket/pictures"').kb == "s3://bucket/pictures"


def test_a_missing_file_is_named_by_its_absolute_path(shop: Path) -> None:
    with pytest.raises(BadSettings) as policy:
        load_policy(settings_of(shop, 'policy = "rules.toml"').policy)
    assert f"{Path.cwd()}/../shop/rules.toml" in policy.value.message
    with pytest.raises(BadSettings) as config:
        load_settings(config=Path("none.toml"), environ={})
    assert str(Path.cwd() / "none.toml") in config.value.message


def test_values_of_another_type_are_still_refused(shop: Path) -> None:
    for text in ("data = 5", "models = [5]", "policy = []"):
        with pytest.raises(BadSettings):
            settings_of(shop, text)
