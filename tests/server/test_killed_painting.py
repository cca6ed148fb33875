"""kill -9 while a real server paints: after a restart all that was acknowledged is there, whole."""

from __future__ import annotations

import base64
import hashlib
import sys
from pathlib import Path

from stdio_peer import Peer, started

from agent_tools.gallery import Gallery
from kb_export.outbox import Outbox

SERVE = [sys.executable, "-m", "server.cli", "serve"]
STEPS = 12
ALL_STEPS = 2 * STEPS  # the interrupted call paints two pictures


def image_arguments(prompt: str, seed: int, count: int = 1) -> dict[str, object]:
    return {
        "prompt": prompt,
        "seed": seed,
        "count": count,
        "steps": STEPS,
        "width": 64,
        "height": 64,
    }


def listed(peer: Peer) -> set[str]:
    """Return the ids of the pictures that the server lists."""
    resources = peer.ask(20, "resources/list")["result"]["resources"]
    return {resource["name"] for resource in resources}


def damaged(peer: Peer) -> list[str]:
    """Return the listed pictures that the server cannot hand out exactly as they were kept."""
    found = []
    for image_id in sorted(listed(peer)):
        answer = peer.ask(21, "resources/read", {"uri": f"image://{image_id}"})
        contents = answer["result"]["contents"] if "result" in answer else [{"blob": ""}]
        digest = hashlib.sha256(base64.b64decode(contents[0]["blob"])).hexdigest()
        if image_id != f"img_{digest[:24]}":
            found.append(image_id)
    return found


def owed(data: Path, target: str) -> set[str]:
    """Return what the outbox still owes `target`, read by a connection of its own."""
    gallery = Gallery(data)
    try:
        outbox = Outbox(gallery)
        ids = {record.image_id for record in gallery.list(limit=-1)}
        return {image_id for image_id in ids if outbox.pending(target, [image_id])}
    finally:
        gallery.close()


def test_a_server_killed_while_painting_loses_nothing_it_acknowledged(
    tmp_path: Path, tiny_stable_diffusion: Path
) -> None:
    data, target = tmp_path / "data", f"folder:{tmp_path / 'kb'}"
    environment = {
        "AGENT_TOOLS_DATA": str(data),
        "AGENT_TOOLS_MODEL": str(tiny_stable_diffusion),
        "AGENT_TOOLS_THREADS": "1",
        "AGENT_TOOLS_KB": target,
        "AGENT_TOOLS_AUTO_EXPORT": "true",
        "OMP_NUM_THREADS": "1",
    }
    interrupted = image_arguments("a blue vase", seed=40, count=2)

    with started(SERVE, **environment) as peer:
        peer.greet()
        first = peer.call(2, "generate_image", image_arguments("a red mug", seed=1))
        acknowledged = {first["images"][0]["image_id"]}
        peer.begin(
            3, "generate_image", interrupted, lambda message: f"step 1 of {ALL_STEPS}" in message
        )
        peer.kill()

    with started(SERVE, **environment) as peer:
        peer.greet()
        assert listed(peer) == acknowledged
        assert damaged(peer) == []
        assert owed(data, target) == acknowledged
        second = peer.call(2, "generate_image", image_arguments("a green bowl", seed=2))
        acknowledged.add(second["images"][0]["image_id"])
        # From the last step on it decodes, writes files and commits: killed somewhere in there.
        last = f"step {ALL_STEPS} of {ALL_STEPS}"
        peer.begin(3, "generate_image", interrupted, lambda message: last in message)
        peer.kill()

    with started(SERVE, **environment) as peer:
        peer.greet()
        there = listed(peer)
        # The two pictures of the interrupted call are kept together or not at all.
        assert acknowledged <= there and len(there) in (2, 4)
        assert damaged(peer) == []
        assert owed(data, target) == there
        again = peer.call(2, "generate_image", interrupted)
        pair = {image["image_id"] for image in again["images"]}
        assert listed(peer) == acknowledged | pair and there <= acknowledged | pair
        assert owed(data, target) == acknowledged | pair
        exported = peer.call(4, "export_to_kb", {})
        assert set(exported["exported"]) == acknowledged | pair
        assert owed(data, target) == set()
        # The check itself sees a torn file.
        victim = next(iter(pair))
        path = next((data / "images").rglob(f"{victim.removeprefix('img_')}*"))
        path.write_bytes(path.read_bytes()[:-1])
        assert damaged(peer) == [victim]
