"""Which models are let in: complete, without code or pickles, with an accepted license."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest

from engine.errors import LicenseNotAccepted, ModelNotLoaded
from engine.registry import KNOWN_MODELS, find_model
from engine.sources import folder_revision, open_source

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(tiny_stable_diffusion: Path, tmp_path: Path) -> Path:
    """A copy of a good model to spoil."""
    return Path(shutil.copytree(tiny_stable_diffusion, tmp_path / "model"))


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_good_folder_is_described_from_its_own_files(folder: Path) -> None:
    source = open_source(str(folder))
    assert source.spec.name == "model"
    assert source.spec.family.name == "stable-diffusion"
    assert source.spec.size == 64
    assert set(source.spec.modes) == {"text-to-image", "image-to-image", "inpaint", "outpaint"}
    assert source.spec.commercial is None


def test_a_folder_with_pickles_only_is_refused(folder: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (Path(folder / "exploded"),))

    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.unlink()
    weights.with_suffix(".bin").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ModelNotLoaded, match="pickle"):
        open_source(str(folder))
    assert not (folder / "exploded").exists()


def test_a_pickle_called_safetensors_is_refused(folder: Path) -> None:
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(pickle.dumps({"weight": list(range(100))}))
    with pytest.raises(ModelNotLoaded, match="not a safetensors file"):
        open_source(str(folder))


@pytest.mark.parametrize("place", ["pipeline.py", "unet/modeling.py"])
def test_a_folder_with_program_code_is_refused(folder: Path, place: str) -> None:
    (folder / place).write_text("print('run')")
    with pytest.raises(ModelNotLoaded, match="program code"):
        open_source(str(folder))


@pytest.mark.parametrize(
    "entry",
    [
        ["os", "system"],
        ["model", "Evil"],
        ["diffusers.pipelines.flux", "FluxPipeline"],
        ["diffusers", "UNet2DConditionModel.__init__"],
        [1, 2],
    ],
)
def test_a_part_from_another_module_is_refused(folder: Path, entry: list[object]) -> None:
    edit_json(folder / "model_index.json", unet=entry)
    with pytest.raises(ModelNotLoaded, match="unet"):
        open_source(str(folder))


def test_a_part_that_points_outside_is_refused(folder: Path) -> None:
    edit_json(folder / "model_index.json", **{"../secret": ["diffusers", "AutoencoderKL"]})
    with pytest.raises(ModelNotLoaded, match="secret"):
        open_source(str(folder))


def test_a_custom_pipeline_is_refused(folder: Path) -> None:
    edit_json(folder / "model_index.json", _class_name=["my_pipeline", "MyPipeline"])
    with pytest.raises(ModelNotLoaded, match="pipeline class"):
        open_source(str(folder))


def test_remote_code_in_a_part_is_refused(folder: Path) -> None:
    edit_json(folder / "text_encoder" / "config.json", auto_map={"AutoModel": "x--y.Z"})
    with pytest.raises(ModelNotLoaded, match="auto_map"):
        open_source(str(folder))


@pytest.mark.parametrize("missing", ["vae", "tokenizer", "unet/config.json"])
def test_a_missing_part_is_named(folder: Path, missing: str) -> None:
    path = folder / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ModelNotLoaded, match=missing.partition("/")[0]):
        open_source(str(folder))


def test_missing_weights_are_named(folder: Path) -> None:
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ModelNotLoaded, match=r"'vae' has no safetensors"):
        open_source(str(folder))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a":' * 100_000, "\ufffe"])
def test_an_unreadable_index_is_one_clear_error(folder: Path, text: str) -> None:
    (folder / "model_index.json").write_text(text)
    with pytest.raises(ModelNotLoaded, match=r"model_index\.json|pipeline class"):
        open_source(str(folder))


def test_weights_in_half_precision_files_are_found(folder: Path) -> None:
    for weights in folder.rglob("*.safetensors"):
        weights.rename(weights.with_name(weights.stem + ".fp16.safetensors"))
    assert open_source(str(folder)).variant == "fp16"


def test_the_revision_changes_with_the_weights_and_not_with_the_place(folder: Path) -> None:
    before = folder_revision(folder)
    moved = folder.rename(folder.with_name("moved"))
    assert folder_revision(moved) == before
    weights = moved / "unet" / "diffusion_pytorch_model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:-20000] + bytes(byte ^ 1 for byte in data[-20000:]))
    assert folder_revision(moved) != before


@pytest.mark.parametrize(
    "model",
    ["no such model", "/no/such/folder", "../../etc", "owner/name/more", "", "-owner/name"],
)
def test_a_name_that_means_nothing_lists_what_there_is(model: str) -> None:
    with pytest.raises(ModelNotLoaded, match="starter"):
        open_source(model)


@pytest.mark.parametrize(
    "model", ["owner/name", "owner/name@main", "owner/name@0123", "FLUX.2-klein-4B"]
)
def test_a_hub_model_without_a_pinned_commit_is_refused(model: str) -> None:
    with pytest.raises(ModelNotLoaded, match="40 hex digits"):
        open_source(model)


def test_a_hub_model_without_network_is_one_clear_error(tmp_path, monkeypatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelNotLoaded, match=r"owner/name.*could not be fetched"):
        open_source(f"owner/name@{COMMIT}")


def test_a_cached_hub_commit_is_loaded_and_named_by_its_commit(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    cache = tmp_path / "cache"
    place = cache / "models--owner--name" / "snapshots" / COMMIT
    place.parent.mkdir(parents=True)
    folder.rename(place)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(cache))
    source = open_source(f"owner/name@{COMMIT}")
    assert (source.spec.name, source.revision, source.folder) == ("owner/name", COMMIT, place)


@pytest.mark.parametrize("model", ["sd-turbo", "stabilityai/sd-turbo", f"sd-turbo@{COMMIT}"])
def test_a_non_commercial_license_must_be_accepted_first(model: str) -> None:
    with pytest.raises(LicenseNotAccepted, match="accept_license"):
        open_source(model)
    with pytest.raises(LicenseNotAccepted):
        open_source(model, ("sdxl-turbo",))
    if "@" not in model:
        with pytest.raises(ModelNotLoaded, match="40 hex digits"):
            open_source(model, ("stabilityai/sd-turbo",))


def test_a_copy_of_a_non_commercial_model_is_still_one(folder: Path) -> None:
    edit_json(folder / "model_index.json", _name_or_path="stabilityai/sd-turbo")
    with pytest.raises(LicenseNotAccepted):
        open_source(str(folder))
    assert open_source(str(folder), ("sd-turbo",)).spec.license == "sai-nc-community"
    assert open_source(str(folder), ("stabilityai/sd-turbo",)).folder == folder


def test_known_models_are_found_by_name_and_hub_id_and_say_their_license() -> None:
    for spec in KNOWN_MODELS:
        assert find_model(spec.name) is find_model(spec.source) is spec
        assert spec.license
        assert spec.commercial is not None
    assert find_model("stabilityai/sd-turbo@main") is find_model("SD-Turbo")
    assert find_model("unheard of") is None
