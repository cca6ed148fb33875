"""A real HTTP server in a thread of its own, over a studio that paints with a tiny model."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from openai import OpenAI
from PIL import Image

from agent_tools.settings import Settings
from agent_tools.studio import Studio
from server.app import build_app
from server.warm_up import WarmUp

QUICK = {"num_inference_steps": 2}


@dataclass(frozen=True)
class Served:
    """A running server: its address, its studio, and a client of it."""

    url: str
    studio: Studio
    client: OpenAI

    @property
    def pictures(self) -> int:
        """How many pictures were painted and kept, uploads aside."""
        kept = self.studio.gallery.list(limit=1000)
        return sum(record.kind not in ("upload", "mask") for record in kept)


@contextmanager
def serving(data: Path, model: Path | str, *, token: str = "", **more: Any) -> Iterator[Served]:
    """Serve on a free port of loopback until the block ends."""
    settings = Settings(data=data, model=str(model), threads=1, token=token or None, **more)
    studio = Studio.open(settings)
    app = build_app(studio, WarmUp(studio))
    config = uvicorn.Config(
        app, port=0, log_config=None, timeout_graceful_shutdown=1, http="h11", loop="asyncio"
    )
    server = uvicorn.Server(config)
    started = threading.Event()
    startup = server.startup

    async def startup_and_tell(*arguments: Any, **options: Any) -> None:
        await startup(*arguments, **options)
        started.set()

    server.startup = startup_and_tell  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run)
    thread.start()
    assert started.wait(60)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    client = OpenAI(base_url=f"{url}/v1", api_key=token or "none", max_retries=0, timeout=120)
    try:
        yield Served(url, studio, client)
    finally:
        client.close()
        server.should_exit = True
        thread.join()


def gradient(width: int = 72, height: int = 64) -> Image.Image:
    """Return a picture in which no two neighbors are equal."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 3 % 256, y * 3 % 256, (x + y) * 2 % 256], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def png(image: Image.Image, kind: str = "PNG") -> bytes:
    """Encode a picture."""
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def upload(image: Image.Image, name: str = "picture.png") -> tuple[str, bytes, str]:
    """Return a picture as the client wants files."""
    return (name, png(image), "image/png")


def hole(size: tuple[int, int] = (72, 64), box: tuple[int, ...] = (20, 20, 44, 40)) -> Image.Image:
    """Return a mask in OpenAI's convention: transparent inside `box`."""
    mask = Image.new("RGBA", size, "black")
    mask.paste((0, 0, 0, 0), box)
    return mask
