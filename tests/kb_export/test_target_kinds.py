"""Kinds of knowledge bases: built in or from another package, and their settings."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kb_pictures import add_pictures

from agent_tools.errors import BadSettings
from agent_tools.gallery import Gallery
from agent_tools.knowledge import Knowledge
from agent_tools.settings import Settings, load_settings
from kb_export.errors import BadTarget
from kb_export.targets import known_schemes, open_target, target_name, target_syntaxes
from kb_export.targets.settings import TargetSettings, read_settings

WIKI = '''
"""A knowledge base of somebody else: one text file a picture."""

from pathlib import Path

from kb_export.errors import BadTarget
from kb_export.targets import Capabilities, TargetKind


class WikiTarget:
    def __init__(self, name, root, key):
        self.name, self.root, self.key = name, root, key
        root.mkdir(exist_ok=True)

    label = "a wiki"
    capabilities = Capabilities(conditional_put=False, checksums=False, pages=True)

    def put(self, record, image):
        self.delete(record.sha256)
        (self.root / record.record_id).write_text(f"{self.key}: {record.caption}")

    def delete(self, sha256):
        for path in self.root.glob(f"kb_{sha256[:24]}_*"):
            path.unlink()

    def list_ids(self):
        return frozenset(path.name for path in self.root.iterdir())

    def flush(self):
        pass

    def wait(self, timeout_s):
        pass


def parse(rest):
    if not rest.isalnum():
        raise BadTarget("A wiki's name is one word.")
    return f"wiki:{rest}"


def open_target(name, settings):
    return WikiTarget(name, Path(settings.require("folder")) / name[5:], settings.get("key", ""))


KIND = TargetKind("wiki", "wiki:NAME", parse, open_target, settings=("folder", "key"))
'''


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Put a package with an entry point on the path, as pip would."""
    site = tmp_path / "site"
    (site / "shop_wiki-1.0.dist-info").mkdir(parents=True)
    (site / "shop_wiki.py").write_text(WIKI)
    (site / "shop_wiki-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: shop-wiki\nVersion: 1.0\n"
    )
    (site / "shop_wiki-1.0.dist-info" / "entry_points.txt").write_text(
        "[agent_tools.kb_targets]\n"
        "wiki = shop_wiki:KIND\n"
        "broken = shop_wiki:NO_SUCH_THING\n"
        "other = shop_wiki:KIND\n"
        "folder = shop_wiki:KIND\n"
    )
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    yield site
    sys.modules.pop("shop_wiki", None)


def test_a_target_of_another_package_is_found_by_its_entry_point_and_served(
    installed: Path, gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_TOOLS_KB_WIKI_FOLDER", str(tmp_path))
    monkeypatch.setenv("AGENT_TOOLS_KB_WIKI_KEY", "k-1")
    record = add_pictures(gallery, "red teapot")[0]
    knowledge = Knowledge(gallery, Settings(data=gallery.data_dir, kb="wiki:shop"))
    assert knowledge.export().put == (record.image_id,)
    assert knowledge.export().put == ()
    (page,) = (tmp_path / "shop").iterdir()
    assert page.read_text() == f"k-1: {record.caption}"
    assert knowledge.remove([record.image_id]).deleted == (record.image_id,)
    assert list((tmp_path / "shop").iterdir()) == []
    assert knowledge.status().targets[0].target == "wiki:shop"


def test_without_the_package_its_scheme_is_unknown() -> None:
    assert "wiki" not in known_schemes()
    with pytest.raises(BadTarget, match="names no kind of knowledge base"):
        target_name("wiki:shop")


def test_listing_the_schemes_loads_none_of_them(installed: Path) -> None:
    assert {"wiki", "folder", "s3"} <= set(known_schemes())
    assert "shop_wiki" not in sys.modules
    assert "folder:PATH" in target_syntaxes()


def test_a_broken_entry_point_names_its_package(installed: Path) -> None:
    with pytest.raises(BadTarget, match="shop-wiki cannot be loaded"):
        target_name("broken:x")
    with pytest.raises(BadTarget, match="is no TargetKind of that scheme"):
        target_name("other:x")


def test_a_built_in_scheme_cannot_be_taken_over(installed: Path, tmp_path: Path) -> None:
    assert target_name(f"folder:{tmp_path}") == f"folder:{tmp_path}"
    assert "shop_wiki" not in sys.modules


def test_a_missing_setting_names_the_variable(installed: Path) -> None:
    with pytest.raises(BadTarget, match="AGENT_TOOLS_KB_WIKI_FOLDER is not set"):
        open_target("wiki:shop")


def test_an_unknown_setting_is_refused_with_the_near_one_and_without_its_value(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_TOOLS_KB_WIKI_KYE", "secret-value")
    with pytest.raises(BadTarget, match="Did you mean AGENT_TOOLS_KB_WIKI_KEY") as caught:
        open_target("wiki:shop")
    assert "secret-value" not in str(caught.value)


def test_the_settings_of_a_kind_are_no_unknown_settings_of_the_server(installed: Path) -> None:
    environ = {"AGENT_TOOLS_KB_WIKI_KEY": "k", "AGENT_TOOLS_KB": "wiki:shop"}
    assert load_settings(environ=environ).kb == "wiki:shop"
    with pytest.raises(BadSettings, match="kb_diffy_url"):
        load_settings(environ={"AGENT_TOOLS_KB_DIFFY_URL": "x"})


def test_settings_never_show_their_values() -> None:
    found = read_settings("dify", ("url", "api_key"), environ={"AGENT_TOOLS_KB_DIFY_API_KEY": "s3"})
    assert found["api_key"] == "s3"
    assert "s3" not in repr(found) + str(found)
    assert "api_key" in repr(found)


def test_an_empty_setting_is_not_set_and_the_servers_own_wins() -> None:
    environ = {"AGENT_TOOLS_KB_OPEN_WEBUI_URL": "", "AGENT_TOOLS_KB_OPEN_WEBUI_API_KEY": "env"}
    found = read_settings("open-webui", ("url", "api_key"), {"api_key": "own"}, environ=environ)
    assert dict(found) == {"api_key": "own"}
    with pytest.raises(BadTarget, match="AGENT_TOOLS_KB_OPEN_WEBUI_URL"):
        found.require("url")
    assert isinstance(found, TargetSettings)


@pytest.mark.parametrize("spec", ["", ":", "folder", "folder:", "FOLDER:x", "../x:y", "s3:bucket"])
def test_malformed_names_are_refused(spec: str) -> None:
    with pytest.raises(BadTarget):
        target_name(spec)
