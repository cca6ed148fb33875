"""What a file says about itself: marks in three formats, signatures, and the gallery's word."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from agent_tools.content_credentials import read_credentials
from agent_tools.errors import AgentToolsError, BadSettings
from agent_tools.marks import read_mark
from agent_tools.pictures import encode_png
from agent_tools.provenance import marked_file, read_xmp
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from agent_tools.verification import verify
from server.cli import run

pytest.importorskip("c2pa")
Run = Callable[..., tuple[int, dict[str, Any]]]
MADE = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicMedia"


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Run:
    """Run `agent-tools ... --json` in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, dict[str, Any]]:
        code = run(["--data", str(tmp_path / "data"), *arguments, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


def draw(tool: Run, folder: Path, text: str = "flowchart LR\n a[Cart] --> b[Pay]") -> Path:
    (folder / "chart.mmd").write_text(text, encoding="utf-8")
    code, made = tool("diagram", "chart.mmd")
    assert code == 0, made
    return Path(made["images"][0]["path"])


def signed(tool: Run, folder: Path) -> None:
    """Make a certificate and put it into the settings, as the command says."""
    code, files = tool("certificate", "create", "credentials", "--name", "Tea shop")
    assert code == 0
    lines = [f'{name} = "{files[name]}"' for name in ("c2pa_certificate", "c2pa_key")]
    (folder / "agent-tools.toml").write_text("\n".join(lines), encoding="utf-8")


def test_an_unsigned_picture_of_ours_is_recognized_by_its_mark(tool: Run, tmp_path: Path) -> None:
    file = draw(tool, tmp_path)
    code, said = tool("verify", str(file))
    assert code == 0
    assert said["mark"]["source_type"] == "algorithmicMedia"
    assert said["mark"]["caption"] == "Flowchart: Cart, Pay."
    assert said["content_credentials"] is None
    assert said["gallery"]["match"] == "same_file"


@pytest.mark.parametrize("file_format", ["png", "webp", "jpeg"])
def test_a_copy_in_another_format_carries_the_mark_and_leads_back(
    file_format: Any, tool: Run, tmp_path: Path
) -> None:
    data = draw(tool, tmp_path).read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        bare = encode_png(image.resize((64, 64)))
        copy = marked_file(image.resize((64, 64)).convert("RGB"), read_xmp(data), file_format)
    (tmp_path / "copy").write_bytes(copy)
    (tmp_path / "bare").write_bytes(bare)
    code, said = tool("verify", "copy")
    assert (code, said["gallery"]["match"]) == (0, "same_recipe")
    assert said["mark"] == asdict(read_mark(data))
    code, said = tool("verify", "bare")
    assert (code, said["mark"], said["gallery"]) == (0, None, None)


def test_pictures_are_signed_when_a_certificate_is_set(tool: Run, tmp_path: Path) -> None:
    signed(tool, tmp_path)
    assert (tmp_path / "credentials" / "key.pem").stat().st_mode & 0o077 == 0
    file = draw(tool, tmp_path)
    code, said = tool("verify", str(file))
    found = said["content_credentials"]
    assert (code, found["state"], found["issuer"]) == (0, "Valid", "Tea shop")
    assert found["problems"] == ["signingCredential.untrusted"]  # nobody vouches for it
    assert found["actions"] == [{"action": "c2pa.created", "digitalSourceType": MADE}]
    assert said["mark"]["caption"] == "Flowchart: Cart, Pay."


def test_a_signed_picture_is_replayed_to_the_byte(tool: Run, tmp_path: Path) -> None:
    """Although signing never gives the same bytes twice."""
    signed(tool, tmp_path)
    first = draw(tool, tmp_path)
    assert draw(tool, tmp_path) == first
    code, listed = tool("gallery", "list")
    (image,) = listed["images"]
    code, replayed = tool("replay", image["image_id"])
    assert (code, replayed["same_bytes"]) == (0, True)


def test_one_changed_byte_makes_the_signature_invalid(tool: Run, tmp_path: Path) -> None:
    signed(tool, tmp_path)
    data = draw(tool, tmp_path).read_bytes()
    # In the XMP text, where no checksum of a decoder would notice first.
    at = data.index(b"Cart, Pay")
    chunk = data.rindex(b"iTXt", 0, at)
    changed = bytearray(data)
    changed[at] ^= 1
    length = int.from_bytes(changed[chunk - 4 : chunk], "big")
    import zlib

    crc = zlib.crc32(bytes(changed[chunk : chunk + 4 + length]))
    changed[chunk + 4 + length : chunk + 8 + length] = crc.to_bytes(4, "big")
    (tmp_path / "changed.png").write_bytes(changed)
    code, said = tool("verify", "changed.png")
    assert (code, said["content_credentials"]["state"]) == (1, "Invalid")
    assert "assertion.dataHash.mismatch" in said["content_credentials"]["problems"]


def test_uploads_are_not_signed_as_ours(tool: Run, tmp_path: Path) -> None:
    signed(tool, tmp_path)
    (tmp_path / "photo.png").write_bytes(encode_png(Image.new("RGB", (32, 32), "teal")))
    tool("gallery", "add", "photo.png")
    (stored,) = (tmp_path / "data" / "images").glob("*/*.png")
    assert read_credentials(stored.read_bytes()) is None


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"c2pa_certificate": "credentials/chain.pem"}, "go together"),
        ({"c2pa_certificate": "missing.pem", "c2pa_key": "missing.pem"}, "cannot be used"),
        (
            {"c2pa_certificate": "credentials/key.pem", "c2pa_key": "credentials/chain.pem"},
            "cannot be used",
        ),
    ],
)
def test_a_wrong_certificate_is_an_error_at_start(
    files: dict[str, str], said: str, tool: Run, tmp_path: Path
) -> None:
    tool("certificate", "create", "credentials")
    settings = Settings(data=tmp_path / "data", **{k: tmp_path / v for k, v in files.items()})
    with pytest.raises(BadSettings, match=said):
        Studio.open(settings)


def test_a_certificate_is_never_overwritten(tool: Run, tmp_path: Path) -> None:
    tool("certificate", "create", "credentials")
    before = (tmp_path / "credentials" / "key.pem").read_bytes()
    code, said = tool("certificate", "create", "credentials")
    assert code != 0 and "already" in said["error"]["message"]
    assert (tmp_path / "credentials" / "key.pem").read_bytes() == before


@pytest.mark.parametrize(
    "packet",
    [
        '<!DOCTYPE x [<!ENTITY a "boom">]><x>&a;</x>',
        "<not closed",
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'/>",
        "x" * 300_000,
    ],
    ids=["entity", "broken", "empty", "huge"],
)
def test_a_hostile_mark_is_no_mark(packet: str, tmp_path: Path) -> None:
    data = marked_file(Image.new("RGB", (8, 8)), packet, "png")
    assert read_mark(data) is None


def test_what_is_no_picture_is_said_and_a_missing_file_too(tool: Run, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("hello", encoding="utf-8")
    for name in ("text.png", "missing.png"):
        code, said = tool("verify", name)
        assert code != 0 and said["error"]["message"] and said["error"]["hint"]
    with pytest.raises(AgentToolsError):
        verify(None, b"RIFF....WEBP")  # type: ignore[arg-type]


def test_a_picture_that_is_not_known_gets_the_next_step(
    tool: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Image.open(draw(tool, tmp_path)) as image:
        image.convert("RGB").save(tmp_path / "saved again.jpg")
    data = ["--data", str(tmp_path / "data")]
    assert run([*data, "verify", "saved again.jpg"]) == 0
    said = capsys.readouterr()
    assert "not known here" in said.out
    assert "agent-tools find --like \"$(agent-tools gallery add 'saved again.jpg')\"" in said.err
    assert run([*data, "gallery", "add", "saved again.jpg"]) == 0
    assert run([*data, "find", "--like", capsys.readouterr().out.strip()]) == 0
    assert "Flowchart: Cart, Pay." in capsys.readouterr().out


def test_an_image_id_names_the_gallerys_own_file(tool: Run, tmp_path: Path) -> None:
    file = draw(tool, tmp_path)
    image_id = tool("gallery", "list")[1]["images"][0]["image_id"]
    code, said = tool("verify", image_id)
    assert code == 0 and said == tool("verify", str(file))[1]
    code, said = tool("verify", "img_0123456789abcdef01234567")
    assert code == 3 and said["error"]["hint"]


def test_without_the_reader_credentials_are_not_read_and_the_extra_is_named(
    tool: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = draw(tool, tmp_path)
    monkeypatch.setitem(sys.modules, "c2pa", None)
    assert run(["--data", str(tmp_path / "data"), "verify", str(file)]) == 0
    said = capsys.readouterr().out
    assert "(C2PA): not read. " in said and "agent-tools[c2pa]" in said
    assert "nobody known" not in said


def test_a_file_beyond_the_limit_is_not_read_whole(tool: Run, tmp_path: Path) -> None:
    picture = draw(tool, tmp_path)
    (tmp_path / "agent-tools.toml").write_text("max_upload_mb = 0.001", encoding="utf-8")
    code, said = tool("verify", str(picture))
    assert code == 2 and "larger than 0.001 MB" in said["error"]["message"]
    (tmp_path / "agent-tools.toml").write_text("max_upload_mb = 5", encoding="utf-8")
    assert tool("verify", str(picture))[0] == 0
