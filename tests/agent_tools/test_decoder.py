"""Pictures from outside are decoded in a process of their own, whatever is in them."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hostile_pictures import all_hostile, bombs, chunk, encoded, header, honest, png, strangers
from PIL import Image

from agent_tools import decoder
from agent_tools.decoder import DECODER, Decoder
from agent_tools.pictures import BadPicture, decode_picture

MEMORY_KB = 600_000


def child_pids() -> list[int]:
    return [process._process.pid for process in DECODER._idle]


def peak_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


@pytest.mark.parametrize("kind", honest())
def test_an_honest_picture_comes_back_pixel_for_pixel(kind: str) -> None:
    data = honest()[kind]
    plain = Image.open(io.BytesIO(data))
    got = decode_picture(data)
    assert got.mode in ("L", "RGB", "RGBA")
    assert got.tobytes() == plain.convert(got.mode).tobytes()
    assert got.info == {}


def test_a_turned_photo_comes_back_upright_and_forgets_where_it_was_made() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010E] = "secret place"
    photo = Image.new("RGB", (20, 10), (200, 0, 0))
    got = decode_picture(encoded(photo, "JPEG", exif=exif))
    assert got.size == (10, 20)
    assert b"secret" not in encoded(got, "PNG")


def test_the_photo_of_a_phone_with_two_lenses_is_a_picture() -> None:
    first, second = Image.new("RGB", (20, 10), (9, 9, 200)), Image.new("RGB", (20, 10))
    data = encoded(first, "MPO", save_all=True, append_images=[second])
    assert decode_picture(data).size == (20, 10)


def test_hundreds_of_hostile_files_are_refused_or_read_and_the_process_stays_small() -> None:
    files = all_hostile()
    assert len(files) >= 300
    outcomes = {}
    for name, data in files.items():
        try:
            picture = decode_picture(data)
        except BadPicture as error:
            assert error.hint and "Traceback" not in str(error)
            outcomes[name] = "refused"
        else:
            assert picture.width * picture.height <= 48 * 32 * 64
            outcomes[name] = "read"
    # A changed pixel is still a picture; what claims too much or is another format never is.
    assert {outcomes[name] for name in strangers()} == {"refused"}
    claims = [name for name in bombs() if "claims" in name or "animated" in name]
    assert {outcomes[name] for name in claims if "more than" not in name} == {"refused"}
    assert "read" in outcomes.values()
    assert decode_picture(honest()["png"]).size == (48, 32)
    assert all(peak_kb(pid) < MEMORY_KB for pid in child_pids())


def test_the_largest_picture_fits_and_a_larger_one_is_refused_by_its_header() -> None:
    large = encoded(Image.new("L", (8000, 5000), 7), "PNG", compress_level=1)
    assert decode_picture(large).size == (8000, 5000)
    with pytest.raises(BadPicture, match="8000x5000"):
        decode_picture(large, max_pixels=39_999_999)


@pytest.mark.parametrize("what", ["memory", "time", "a killed process", "rubbish"])
def test_what_breaks_the_process_is_one_error_and_the_next_picture_is_fine(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Decoder()
    good = honest()["png"]
    assert own.decode(good, max_pixels=10_000).size == (48, 32)
    process = own._idle[0]
    pid = process._process.pid
    if what == "memory":
        big = png(header(30_000, 20_000, 8, 6), chunk(b"IDAT", b"x" * 99), chunk(b"IEND", b""))
        with pytest.raises(BadPicture, match="memory"):
            own.decode(big, max_pixels=10**9)
    elif what == "time":
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(BadPicture, match="time"):
            own.decode(good, max_pixels=10_000, clock_s=0.2)
    elif what == "a killed process":
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(BadPicture):
            own.decode(good, max_pixels=10_000)
    else:  # a process taken over by its picture cannot say more than a picture's size allows
        lie = b'{"mode": "RGBA", "width": 100000, "height": 100000}'
        program = f"import sys; sys.stdout.buffer.write({len(lie).to_bytes(4, 'big') + lie!r})"
        monkeypatch.setattr(decoder, "child_command", lambda _: [sys.executable, "-c", program])
        liar = Decoder()
        with pytest.raises(BadPicture):
            liar.decode(good, max_pixels=10_000)
    assert own.decode(good, max_pixels=10_000).size == (48, 32)
    own.close()


def test_several_threads_share_two_processes() -> None:
    good = honest()["jpeg"]
    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(lambda _: decode_picture(good).size, range(40)))
    assert set(sizes) == {(48, 32)}
    assert len(child_pids()) <= 2


def test_the_process_knows_no_secret_and_loads_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_TOOLS_TOKEN", "canary-secret")
    own = Decoder()
    own.decode(honest()["png"], max_pixels=10_000)
    pid = own._idle[0]._process.pid
    assert b"canary" not in Path(f"/proc/{pid}/environ").read_bytes()
    assert "torch" not in Path(f"/proc/{pid}/maps").read_text()
    own.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_an_upload_is_never_decoded_in_the_server_itself(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from agent_tools.gallery import Gallery\n"
        "import PIL.Image as image\n"
        "def spy(*a, **k): raise AssertionError('decoded here')\n"
        "image.open = spy\n"
        f"Gallery(Path(sys.argv[1])).add_upload({honest()['png']!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
