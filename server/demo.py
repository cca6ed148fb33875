"""The demo: the main job on real input, as an agent does it.

It starts `agent-tools serve` as a subprocess and knows it only through a real MCP client over
stdio, apart from the photograph, which a person takes in with `agent-tools gallery add`.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import agent_tools
from agent_tools.errors import AgentToolsError, InvalidArguments
from agent_tools.settings import Settings
from server.console import Output
from server.demo_agent import Agent, Workplace
from server.demo_page import render

PRODUCT = "glossy teapot"
SCENE = "white background"
PRODUCT_COLORS = ("purple", "yellow", "teal", "red")
PHOTO_TITLE = "Espresso cup and saucer on a wooden table"
PHOTO_COLORS = ("#9caf88", "#1f3a5f", "#c08081")
PERSONA = ("Mina", "support agent with curly black hair, brown skin, glasses and a teal hoodie")
EXPRESSIONS = ("smiling", "surprised")
DIAGRAM_TITLE = "How a return works"
DIAGRAM = """flowchart LR
  start([Customer asks for a return]) --> label[We email a prepaid label]
  label --> parcel[Parcel comes back]
  parcel --> check{Undamaged?}
  check -- yes --> refund[Refund in 3 days]
  check -- no --> talk[Support calls]
  talk --> refund
"""
SEED = 7
# What a shopper asks, and which picture answers it: part of the report, position in it.
QUESTIONS = (
    ("Do you sell a violet pot for brewing tea?", "variants", 0),
    ("I would love a navy blue cup for my espresso", "recolors", 1),
    ("How do I send something back and get my money?", "diagram", 0),
)


@dataclass(slots=True)
class Story:
    """What the demo has made so far; becomes report.json."""

    started: float = field(default_factory=time.monotonic)
    seconds: dict[str, float] = field(default_factory=dict)
    parts: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def stage(
        self, name: str, output: Output, done: str, since: float | None = None
    ) -> Iterator[None]:
        """Time one stage, from now or from `since`, and say when it is done."""
        started = time.monotonic() if since is None else since
        yield
        self.seconds[name] = round(time.monotonic() - started, 2)
        output.note(f"  {done} ({self.seconds[name]:.1f} s)")


def run_demo(settings: Settings, out: Path, output: Output) -> dict[str, Any]:
    """Run the demo, write index.html and report.json into `out` and return the report.

    Raises:
        AgentToolsError: if a part fails; code "cancelled" after Ctrl-C.
    """
    out = out.absolute()
    _prepare(out)
    with tempfile.TemporaryDirectory(prefix="agent-tools-demo-") as folder:
        workplace = Workplace.of(settings, Path(folder), out / "knowledge-base")
        with (out / "server.log").open("w", encoding="utf-8") as log:
            try:
                story = asyncio.run(_perform(workplace, out, log, output))
            except KeyboardInterrupt:
                raise AgentToolsError("Cancelled.", code="cancelled") from None
            except BaseExceptionGroup as group:  # the client's task group wraps what goes wrong
                raise _innermost(group) from None
    report = _report(story, settings)
    text = json.dumps(report, ensure_ascii=False, indent=2) + "\n"
    (out / "report.json").write_text(text, encoding="utf-8")
    (out / "index.html").write_text(render(report), encoding="utf-8")
    output.say(_last_line(report, out / "index.html"))
    return report


async def _perform(workplace: Workplace, out: Path, log: TextIO, output: Output) -> Story:
    story = Story()
    with output.bars() as bars:
        bars.start("Starting the server")
        async with workplace.connect(log) as client:
            agent = Agent(client, bars, out / "pictures")
            with story.stage("tools", output, "Server started, tools listed", story.started):
                story.parts["tools"] = await agent.list_tools()
            with story.stage("variants", output, f"{len(PRODUCT_COLORS)} variants from words"):
                await _variants(agent, story)
            with story.stage("recolors", output, f"{len(PHOTO_COLORS)} exact recolors of a photo"):
                await _recolors(agent, story, workplace)
            with story.stage("persona", output, "A persona with two expressions"):
                await _persona(agent, story)
            with story.stage("diagram", output, "A diagram"):
                await _diagram(agent, story)
            with story.stage("export", output, "Everything in the knowledge base"):
                story.parts["kb"] = await agent.call("export_to_kb", "Exporting")
            with story.stage("questions", output, "Three shopper questions asked"):
                await _questions(agent, story)
    return story


async def _variants(agent: Agent, story: Story) -> None:
    made = await agent.call(
        "create_product_variants",
        "Painting four variants",
        product=PRODUCT,
        scene=SCENE,
        colors=list(PRODUCT_COLORS),
        seed=SEED,
    )
    story.parts["variants"] = [await _variant(agent, variant) for variant in made["variants"]]


async def _recolors(agent: Agent, story: Story, workplace: Workplace) -> None:
    assets = Path(agent_tools.__file__).parent / "assets"
    photo = await workplace.take_in(assets / "coffee-cup.png", "upload", PHOTO_TITLE)
    mask = await workplace.take_in(assets / "coffee-cup-mask.png", "mask", f"Mask: {PHOTO_TITLE}")
    made = await agent.call(
        "create_product_variants",
        "Recoloring the photo",
        image_id=photo["image_id"],
        mask_id=mask["image_id"],
        colors=list(PHOTO_COLORS),
    )
    story.parts["photo"] = await agent.save(photo)
    story.parts["recolors"] = [await _variant(agent, variant) for variant in made["variants"]]


async def _variant(agent: Agent, variant: dict[str, Any]) -> dict[str, Any]:
    return await agent.save(variant["image"]) | {"measurements": variant["measurements"]}


async def _persona(agent: Agent, story: Story) -> None:
    name, description = PERSONA
    created = await agent.call(
        "create_persona_avatar", f"Painting {name}", name=name, description=description
    )
    persona = created["persona"]
    images = [await agent.save(created["images"][0]) | {"expression": created["expression"]}]
    for expression in EXPRESSIONS:
        drawn = await agent.call(
            "create_persona_avatar",
            f"Painting {name}, {expression}",
            persona_id=persona["persona_id"],
            expression=expression,
        )
        picture = await agent.save(drawn["images"][0])
        images.append(picture | {"expression": expression, "similarity": drawn["similarity"][0]})
    story.parts["persona"] = {
        "persona_id": persona["persona_id"],
        "name": name,
        "description": description,
        "appearance": persona["appearance"],
        "images": images,
    }


async def _diagram(agent: Agent, story: Story) -> None:
    drawn = await agent.call(
        "draw_diagram", "Drawing the diagram", source=DIAGRAM, title=DIAGRAM_TITLE
    )
    story.parts["diagram"] = await agent.save(drawn["images"][0]) | {"source": DIAGRAM}


async def _questions(agent: Agent, story: Story) -> None:
    asked = []
    for question, part, position in QUESTIONS:
        pictures = story.parts[part]
        expected = (pictures if isinstance(pictures, list) else [pictures])[position]["image_id"]
        found = await agent.call("search_kb", "Asking", question=question, limit=3)
        best: dict[str, Any] = found["hits"][0] if found["hits"] else {}
        asked.append(
            {
                "question": question,
                "expected": expected,
                "found": best.get("image_id"),
                "score": best.get("score"),
                "right": best.get("image_id") == expected,
            }
        )
    story.parts["kb"]["questions"] = asked


def _prepare(out: Path) -> None:
    """Empty an earlier demo's folder; refuse one that holds somebody else's page."""
    if (out / "index.html").exists() and not (out / "report.json").exists():
        raise InvalidArguments(
            f"{out} holds an index.html that no demo wrote.", hint="Choose another --out."
        )
    try:
        for name in ("pictures", "knowledge-base"):
            if (out / "report.json").exists():
                shutil.rmtree(out / name, ignore_errors=True)
        (out / "pictures").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AgentToolsError(
            f"Cannot write to {out}: {error.strerror or error}.",
            hint="Choose another --out.",
            code="unavailable",
        ) from error


def _report(story: Story, settings: Settings) -> dict[str, Any]:
    total = round(time.monotonic() - story.started, 2)
    return {
        "ok": all(question["right"] for question in story.parts["kb"]["questions"]),
        "version": agent_tools.__version__,
        "model": settings.model,
        **story.parts,
        "seconds": {**story.seconds, "total": total},
    }


def _last_line(report: dict[str, Any], page: Path) -> str:
    questions = report["kb"]["questions"]
    right = sum(question["right"] for question in questions)
    made = len(report["variants"]) + len(report["recolors"]) + len(report["persona"]["images"]) + 1
    shown = page.relative_to(Path.cwd()) if page.is_relative_to(Path.cwd()) else page
    return (
        f"Made {made} pictures, and the knowledge base answered {right} of {len(questions)} "
        f"questions with the right one, in {report['seconds']['total']:.0f} s. Open {shown}"
    )


def _innermost(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that people should see of those that a task group collected."""
    ours, _ = group.split(AgentToolsError)
    error: BaseException = ours or group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
