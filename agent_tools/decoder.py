"""Decoding pictures from outside in a process of its own, whatever is in them.

Image libraries are native code that runs on bytes from strangers. The process has a bare
environment, a memory limit, a processor limit and a clock for each picture; what comes back are
pixels, never a file that somebody else has written. Processes stay warm between pictures.
"""

from __future__ import annotations

import atexit
import io
import json
import struct
import subprocess
import sys
import threading
import warnings
from typing import IO, Any

from PIL import Image, ImageOps

from agent_tools.child import child_command, child_environment, limit_cpu, limit_resources
from agent_tools.pictures import ACCEPTED_FORMATS, BadPicture

MEMORY_BYTES = 1_000_000_000  # address space: 40 megapixels take 160 MB, twice while they turn
CPU_S = 10.0
CLOCK_S = 30.0  # runs on while the machine does something else
MAX_SIDE = 32_768
_PROCESSES = 2
_PICTURES = 500  # a process is replaced after so many
_CHANNELS = {"L": 1, "RGB": 3, "RGBA": 4}
_STRIP = 512
_JOB = struct.Struct("!QQ")  # bytes of the file, pixels allowed
_HEADER = struct.Struct("!I")  # bytes of the JSON that follows


class Decoder:
    """Decode pictures in at most two processes, started on demand. Safe to use from any thread."""

    def __init__(self) -> None:
        self._room = threading.BoundedSemaphore(_PROCESSES)
        self._lock = threading.Lock()
        self._idle: list[_Process] = []

    def decode(self, data: bytes, *, max_pixels: int, clock_s: float = CLOCK_S) -> Image.Image:
        """Return the picture, upright and without metadata; mode "RGB", "RGBA" or "L".

        Blocks; while both processes are busy, the caller waits.

        Raises:
            BadPicture: what the process says about the file, or that it broke a limit.
        """
        with self._room:
            with self._lock:
                process = self._idle.pop() if self._idle else None
            if process is None:
                process = _Process()
            try:
                picture = process.decode(data, max_pixels, clock_s)
            except BadPicture:
                self._keep(process)
                raise
            except (OSError, EOFError, ValueError) as error:
                process.end()
                raise BadPicture(
                    "Decoding the picture took more memory or time than one picture may have.",
                    hint="Send a smaller, plainer copy of it.",
                ) from error
            except BaseException:
                process.end()
                raise
            self._keep(process)
            return picture

    def close(self) -> None:
        """End the idle processes; the next picture starts another one."""
        with self._lock:
            idle, self._idle = self._idle, []
        for process in idle:
            process.end()

    def _keep(self, process: _Process) -> None:
        if process.decoded >= _PICTURES:
            process.end()
            return
        with self._lock:
            self._idle.append(process)


class _Process:
    """One decoding process: a job goes in, pixels come out."""

    def __init__(self) -> None:
        self.decoded = 0
        self._process = subprocess.Popen(
            child_command(__name__),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=child_environment(),
        )

    def decode(self, data: bytes, max_pixels: int, clock_s: float) -> Image.Image:
        self.decoded += 1
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        clock = threading.Timer(clock_s, self._process.kill)
        clock.daemon = True
        clock.start()
        try:
            stdin.write(_JOB.pack(len(data), max_pixels))
            stdin.write(data)
            stdin.flush()
            facts = json.loads(_read(stdout, _HEADER.unpack(_read(stdout, _HEADER.size))[0]))
            if "error" in facts:
                raise BadPicture(str(facts["error"]), hint=str(facts["hint"]))
            # It has read hostile bytes, so what it says is checked again.
            mode, size = str(facts["mode"]), (int(facts["width"]), int(facts["height"]))
            if mode not in _CHANNELS or min(size) < 1 or size[0] * size[1] > max_pixels:
                raise EOFError
            pixels = _read(stdout, size[0] * size[1] * _CHANNELS[mode])
        finally:
            clock.cancel()
        return Image.frombytes(mode, size, pixels)

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


def _read(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise EOFError
    return data


def main() -> None:
    """Serve jobs on standard input until it ends."""
    limit_resources(MEMORY_BYTES)
    Image.MAX_IMAGE_PIXELS = None  # the limit below is stricter, and says more
    jobs, answers = sys.stdin.buffer, sys.stdout.buffer
    while len(head := jobs.read(_JOB.size)) == _JOB.size:
        length, max_pixels = _JOB.unpack(head)
        limit_cpu(CPU_S)
        try:
            picture = _decoded(jobs.read(length), max_pixels)
        except BadPicture as error:
            _answer(answers, {"error": error.message, "hint": error.hint})
            continue
        width, height = picture.size
        _answer(answers, {"mode": picture.mode, "width": width, "height": height})
        for top in range(0, height, _STRIP):
            strip = picture.crop((0, top, width, min(top + _STRIP, height)))
            answers.write(strip.tobytes())
        answers.flush()
        del picture, strip


def _answer(stream: IO[bytes], facts: dict[str, Any]) -> None:
    text = json.dumps(facts).encode()
    stream.write(_HEADER.pack(len(text)) + text)
    stream.flush()


def _decoded(data: bytes, max_pixels: int) -> Image.Image:
    """Decode a file upright, without metadata; its size is known before a pixel is decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture: Image.Image = Image.open(io.BytesIO(data), formats=ACCEPTED_FORMATS)
            width, height = picture.size
            if width * height > max_pixels or max(width, height) > MAX_SIDE:
                raise BadPicture(
                    f"The picture has {width}x{height} pixels; at most {max_pixels:,} are taken, "
                    f"and {MAX_SIDE:,} on a side.",
                    hint="Send a smaller copy.",
                )
            # A photo of two lenses is a JPEG with a second picture behind the first.
            if picture.format != "MPO" and getattr(picture, "n_frames", 1) > 1:
                raise BadPicture("The picture is animated.", hint="Send a single frame.")
            picture.load()
            ImageOps.exif_transpose(picture, in_place=True)
        if picture.mode in ("L", "1"):
            mode = "L"
        elif picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
            mode = "RGBA"
        else:
            mode = "RGB"
        return picture if picture.mode == mode else picture.convert(mode)
    except BadPicture:
        raise
    except MemoryError:
        raise BadPicture(
            "Decoding the picture took more memory than one picture may have.",
            hint="Send a smaller, plainer copy of it.",
        ) from None
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise BadPicture(
            "The bytes are not a readable PNG, JPEG or WebP picture.",
            hint="Send one of these formats, complete and undamaged.",
        ) from error


DECODER = Decoder()
atexit.register(DECODER.close)
