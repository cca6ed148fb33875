"""Avatar packs and likeness on drawn portraits whose truth is known; no model."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageDraw

from agent_tools.avatar_checks import check_file
from agent_tools.avatar_pack import TARGETS, Target, head_box
from agent_tools.callers import acting_as
from agent_tools.confetti import with_confetti
from agent_tools.errors import NotFound, Refused
from agent_tools.gallery import Gallery
from agent_tools.likeness import likeness, verdict
from agent_tools.pack_check import PackCheck
from agent_tools.persona_packs import Packs
from agent_tools.personas import Persona, PersonaStore
from agent_tools.pictures import encode_png
from agent_tools.portrait import cut_out, outline, palette
from agent_tools.provenance import read_xmp
from engine.starter.render.avatars import draw_avatar

MINA = {"skin": "tan", "hair_style": "long", "hair_color": "red", "clothing_color": "teal"}
THEO = {"skin": "dark", "hair_style": "short", "hair_color": "black", "clothing": "suit"}
PERSONA = Persona(
    persona_id="per_mina_0123456789",
    name='Mina <b>"x"</b>',
    description="red hair",
    appearance="tan skin, long red hair",
    seed=1,
    model="starter",
    canonical_image_id="img_1",
)


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Packs:
    gallery = Gallery(tmp_path_factory.mktemp("data"))
    PersonaStore(gallery).save(PERSONA)
    return Packs(gallery)


@pytest.fixture(scope="module")
def archive(packs: Packs) -> zipfile.ZipFile:
    picture = draw_avatar(MINA)
    made = packs.make(PERSONA, picture, outline(picture))
    return zipfile.ZipFile(io.BytesIO(packs.read(made.pack_id)))


@pytest.fixture(scope="module")
def checks(archive: zipfile.ZipFile) -> dict[str, PackCheck]:
    files = json.loads(archive.read("checks.json"))["files"]
    return {check["path"]: PackCheck.model_validate(check) for check in files}


def test_every_file_of_the_pack_passes_every_check(checks: dict[str, PackCheck]) -> None:
    assert all(check.ok for check in checks.values())
    assert len(checks) == len(TARGETS) + 3
    assert checks["slack/icon-512.png"].bytes <= 256 * 1024


def test_the_pack_has_every_size_that_platforms_ask_for(archive: zipfile.ZipFile) -> None:
    sides = {}
    for name in archive.namelist():
        if name.endswith((".png", ".ico")):
            with Image.open(io.BytesIO(archive.read(name))) as image:
                assert image.width == image.height
                sides[name] = image.width
    assert sides["slack/icon-512.png"] == 512
    assert (sides["teams/color-192.png"], sides["teams/outline-32.png"]) == (192, 32)
    assert {v for k, v in sides.items() if k.startswith("discord/")} == {128, 256, 512, 1024}
    assert {v for k, v in sides.items() if k.startswith("web/")} == {1024, 512, 256, 128, 64}
    ico = Image.open(io.BytesIO(archive.read("favicon/favicon.ico")))
    assert ico.info["sizes"] == {(16, 16), (32, 32), (48, 48)}
    icons = json.loads(archive.read("favicon/site.webmanifest"))["icons"]
    maskable = next(icon for icon in icons if icon.get("purpose") == "maskable")
    assert maskable["sizes"] == "512x512"


def test_avatars_are_transparent_and_full_bleed_ones_are_not(archive: zipfile.ZipFile) -> None:
    web = Image.open(io.BytesIO(archive.read("web/avatar-256.png")))
    teams = Image.open(io.BytesIO(archive.read("teams/color-192.png"))).convert("RGBA")
    assert web.mode == "RGBA"
    assert web.getpixel((0, 0)) == (0, 0, 0, 0)
    assert web.getchannel("A").getpixel((128, 128)) == 255
    assert teams.getchannel("A").getextrema() == (255, 255)


def test_the_snippets_escape_the_name_and_say_who_is_shown(archive: zipfile.ZipFile) -> None:
    snippet = archive.read("snippet.html").decode()
    markdown = archive.read("SNIPPET.md").decode()
    assert "<b>" not in snippet
    assert "fictional persona" in snippet and "fictional persona" in markdown
    assert r"\<b\>" in markdown
    for name in ("web/avatar-64.png", "favicon/favicon.ico", "favicon/site.webmanifest"):
        assert name in snippet
        archive.getinfo(name)


def test_every_picture_carries_the_mark_that_a_model_made_it(archive: zipfile.ZipFile) -> None:
    for name in archive.namelist():
        if name.endswith(".png"):
            mark = read_xmp(archive.read(name))
            assert "TrainedAlgorithmicMedia" in mark and "fictional persona" in mark


def test_the_same_picture_gives_the_same_pack(packs: Packs, archive: zipfile.ZipFile) -> None:
    picture = draw_avatar(MINA)
    again = packs.make(PERSONA, picture, outline(picture))
    assert [path.name for path in again.path.parent.iterdir()] == [again.path.name]


@pytest.mark.parametrize("name", ["pack_0", "../gallery", "pack_" + "0" * 24, "*"])
def test_a_pack_that_is_not_there_is_not_found(packs: Packs, name: str) -> None:
    with pytest.raises(NotFound):
        packs.read(name)


def test_a_pack_belongs_to_whom_the_persona_does(tmp_path: Path) -> None:
    gallery, picture = Gallery(tmp_path), draw_avatar(MINA)
    with acting_as("anna"):
        PersonaStore(gallery).save(PERSONA)
        made = Packs(gallery).make(PERSONA, picture, outline(picture))
        assert Packs(gallery).read(made.pack_id) == made.path.read_bytes()
    with acting_as("ben"), pytest.raises(NotFound):
        Packs(gallery).read(made.pack_id)


@pytest.fixture(scope="module")
def avatar(archive: zipfile.ZipFile) -> Image.Image:
    return Image.open(io.BytesIO(archive.read("web/avatar-256.png"))).convert("RGBA")


def checked(image: Image.Image, side: int = 256) -> PackCheck:
    return check_file(Target("web/x.png", side), encode_png(image))


def test_a_face_moved_to_the_edge_fails_the_circle(avatar: Image.Image) -> None:
    moved = ImageChops.offset(avatar, 70, 0)
    assert checked(avatar).face_in_safe_circle
    assert not checked(moved).face_in_safe_circle


def test_a_face_that_fills_the_picture_fails_the_circle(avatar: Image.Image) -> None:
    large = avatar.crop((70, 50, 186, 166)).resize((256, 256))
    assert not checked(large).face_in_safe_circle


def test_filled_corners_fail(avatar: Image.Image) -> None:
    paper = Image.new("RGBA", avatar.size, "white")
    paper.alpha_composite(avatar)
    assert checked(avatar).corners
    assert not checked(paper).corners


def test_a_hole_in_the_face_fails(avatar: Image.Image) -> None:
    holed = avatar.copy()
    ImageDraw.Draw(holed).ellipse((118, 150, 140, 162), fill=(0, 0, 0, 0))
    assert checked(avatar).solid
    assert not checked(holed).solid


def test_a_leak_as_thin_as_a_hair_leaves_no_hole() -> None:
    picture = draw_avatar({**MINA, "background": "light blue"})
    draw, color = ImageDraw.Draw(picture), picture.getpixel((0, 0))
    draw.ellipse((115, 150, 141, 164), fill=color)
    draw.line((128, 157, 255, 157), fill=color, width=2)
    mask = np.asarray(outline(picture).mask)
    assert (mask[150:164, 115:141] >= 128).all()


def test_another_side_or_shape_fails(avatar: Image.Image) -> None:
    assert not checked(avatar, side=128).square
    assert not checked(avatar.resize((256, 200))).square


def test_a_heavy_picture_fails_the_weight() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 4), np.uint8)
    assert not checked(Image.fromarray(noise), side=512).light_enough


def test_a_flat_or_an_invisible_figure_is_not_readable(avatar: Image.Image) -> None:
    flat = Image.new("RGBA", avatar.size, "#808080")
    flat.putalpha(avatar.getchannel("A"))
    assert checked(avatar).readable
    assert not checked(flat).readable
    same = Image.new("RGBA", avatar.size, "#cfe6f7")
    assert not check_file(Target("x.png", 256, "full-bleed"), encode_png(same), "#cfe6f7").readable
    assert not checked(Image.new("RGBA", avatar.size)).readable


def test_black_hair_is_told_to_be_hard_to_see_on_dark_pages(packs: Packs) -> None:
    picture = draw_avatar({**THEO, "clothing_color": "black", "background": "light blue"})
    made = packs.make(PERSONA, picture, outline(picture))
    avatar = next(check for check in made.checks if check.path == "web/avatar-64.png")
    assert avatar.edge_on_light > 30 > avatar.edge_on_dark


@pytest.mark.parametrize("background", ["white", "light blue", "mint", "pink"])
def test_the_outline_is_the_drawn_figure(background: str) -> None:
    """The same figure on two backgrounds gives its true mask: where both agree."""
    look = {**MINA, "hair_color": "brown", "skin": "brown"}
    picture = draw_avatar({**look, "background": background})
    other = draw_avatar({**look, "background": "charcoal"})
    difference = np.abs(np.asarray(picture, int) - np.asarray(other, int)).max(axis=-1)
    truth, found = difference < 8, np.asarray(outline(picture).mask) >= 128
    assert (truth & found).sum() / (truth | found).sum() > 0.97


@pytest.mark.parametrize("look", [{"skin": "light", "hair_style": "bald", "background": "beige"}])
def test_a_figure_that_runs_into_its_background_is_refused(look: dict[str, str]) -> None:
    picture = draw_avatar(look)
    pixels = np.asarray(picture).copy()
    pixels[np.abs(pixels.astype(int) - pixels[130, 128]).max(axis=-1) < 12] = pixels[0, 0]
    with pytest.raises(Refused) as refusal:
        outline(Image.fromarray(pixels))
    assert refusal.value.code == "no_outline"


@pytest.mark.parametrize("color", ["white", "black", "#7f7f7f"])
def test_a_flat_picture_has_no_figure_and_ends(color: str) -> None:
    with pytest.raises(Refused):
        outline(Image.new("RGB", (64, 64), color))


def test_noise_has_no_figure_and_ends() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (96, 96, 3), np.uint8)
    with pytest.raises(Refused):
        outline(Image.fromarray(noise))


def test_a_cut_out_hides_nothing_behind_its_transparency() -> None:
    picture = draw_avatar({**MINA, "background": "pink"})
    cut = np.asarray(cut_out(picture, outline(picture).mask))
    assert (cut[cut[..., 3] == 0] == 0).all()
    assert cut[..., 3].max() == 255


def test_the_head_ends_at_the_neck() -> None:
    picture = draw_avatar({"hair_style": "bun", "background": "light blue"})
    head = head_box(outline(picture).mask)
    assert head.top < 30
    assert 165 <= head.bottom <= 195


def test_the_palette_is_made_of_the_colors_there_are() -> None:
    found = palette(draw_avatar({**MINA, "background": "light blue"}))
    assert len(found) == 5
    first = np.array(list(bytes.fromhex(found[0][1:])), int)
    assert np.abs(first - np.array([0xCF, 0xE6, 0xF7])).max() < 12


def test_confetti_leaves_the_figure_alone_and_follows_its_seed() -> None:
    picture = draw_avatar(MINA)
    mask = outline(picture).mask
    party, again, other = (with_confetti(picture, mask, seed) for seed in (1, 1, 2))
    inside = np.asarray(mask) > 0
    assert (np.asarray(party)[inside] == np.asarray(picture)[inside]).all()
    assert (np.asarray(party)[~inside] != np.asarray(picture)[~inside]).any()
    assert party.tobytes() == again.tobytes() != other.tobytes()


SAME = [
    {"expression": "smiling"},
    {"expression": "sad"},
    {"expression": "surprised"},
    {"background": "mint"},
    {"background": "charcoal"},
    {"clothing": "hoodie", "clothing_color": "yellow"},
]
OTHER = [
    {"skin": "dark"},
    {"hair_color": "black"},
    {"hair_style": "bald"},
    THEO,
]


@pytest.mark.parametrize("change", SAME, ids=lambda change: "-".join(change.values()))
def test_another_mood_backdrop_or_coat_is_the_same_person(change: dict[str, str]) -> None:
    value = likeness(draw_avatar(MINA), draw_avatar({**MINA, **change}))
    assert verdict(value) == "same", value


@pytest.mark.parametrize("change", OTHER, ids=lambda change: "-".join(change.values()))
def test_another_head_is_flagged(change: dict[str, str]) -> None:
    value = likeness(draw_avatar(MINA), draw_avatar({**MINA, **change}))
    assert verdict(value) != "same", value


def test_confetti_is_no_drift() -> None:
    picture = draw_avatar(MINA)
    party = with_confetti(picture, outline(picture).mask, 7)
    assert verdict(likeness(picture, party)) == "same"


def test_a_picture_is_like_itself_at_any_size_and_never_like_nobody() -> None:
    picture = draw_avatar(MINA)
    assert likeness(picture, picture) == 1
    assert likeness(picture, picture.resize((512, 512))) > 0.97
    assert verdict(likeness(picture, Image.new("RGB", (256, 256), "white"))) == "other"
