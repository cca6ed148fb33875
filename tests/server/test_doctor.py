"""The doctor says what works, and what to do about what does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent_tools.settings import load_settings
from server.cli import run
from server.doctor import Check, examine

PARTS = {
    "python",
    "sqlite",
    "torch",
    "device",
    "cpu threads",
    "engine",
    "model",
    "fonts",
    "diagrams",
    "data directory",
    "disk space",
    "sentence encoder",
    "knowledge base",
    "tools",
}


def check_of(name: str, **flags: object) -> Check:
    settings = load_settings(flags, environ={})
    return next(check for check in examine(settings) if check.name == name)


def test_every_part_is_examined_and_nothing_bad_goes_without_advice(tmp_path: Path) -> None:
    checks = examine(load_settings({"data": tmp_path}, environ={}))
    assert {check.name for check in checks} == PARTS
    assert all(check.detail for check in checks)
    assert all(check.hint for check in checks if check.status != "ok")
    healthy = {check.name for check in checks if check.status != "fail"}
    assert PARTS - {"model"} <= healthy


def test_a_missing_model_fails_and_the_command_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(["--data", str(tmp_path), "doctor", "--model", str(tmp_path / "none"), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert code == 1 and said["ok"] is False
    model = next(check for check in said["checks"] if check["name"] == "model")
    assert model["status"] == "fail" and model["hint"]


def test_a_folder_of_pickles_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    (tmp_path / "weights.bin").write_bytes(b"\x80\x04.")
    assert check_of("model", model=str(tmp_path)).status == "fail"


def test_a_data_directory_under_a_file_fails_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    found = check_of("data directory", data=tmp_path / "file" / "data")
    assert found.status == "fail" and "--data" in found.hint


def test_more_threads_than_cpus_are_warned_about(tmp_path: Path) -> None:
    assert check_of("cpu threads", data=tmp_path, threads=200).status == "warn"


def test_a_device_that_is_not_there_fails(tmp_path: Path) -> None:
    assert check_of("device", data=tmp_path, device="cuda:77").status == "fail"
    assert check_of("device", data=tmp_path, device="abacus").status == "fail"


def test_a_knowledge_base_that_no_target_serves_fails(tmp_path: Path) -> None:
    assert check_of("knowledge base", data=tmp_path, kb="ftp://shop").status == "fail"
    assert check_of("knowledge base", data=tmp_path, kb="s3://shop/pictures").status == "ok"


def test_a_tool_that_is_not_there_fails_and_is_named(tmp_path: Path) -> None:
    found = check_of("tools", data=tmp_path, tools="create_product_variant,get_image")
    assert found.status == "fail" and "create_product_variant." in found.detail
    assert "create_product_variants" in found.hint
    assert check_of("tools", data=tmp_path, tools="core").status == "ok"
