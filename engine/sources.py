"""From a model's name to a folder that is safe to load. Loads no torch.

Model files are code to whoever loads them carelessly: pickles run when read, config files name
modules to import. What passes here holds safetensors weights and JSON that names diffusers,
transformers and `OWN_MODULES` classes only (CVE-2024-12029, CVE-2026-44513, CVE-2026-5241).
"""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.description import describe
from engine.errors import LicenseNotAccepted, ModelNotLoaded
from engine.hub import fetch, pinned
from engine.registry import ModelSpec, find_model
from engine.revision import folder_revision

# Modules of this program that a model folder may name: load_model imports them before diffusers
# asks for them.
OWN_MODULES = ("engine.starter.autoencoder",)
STARTER_WEIGHTS = Path(__file__).parent / "starter" / "weights"
_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".msgpack", ".h5"}
_MAX_JSON = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """A model that passed the checks.

    Attributes:
        spec: what is known about it.
        folder: where it lies, diffusers layout.
        revision: the hub commit, or a hash over names, sizes and tensor tables of the folder.
        variant: "fp16" if the weights are stored under that name only, else None.
    """

    spec: ModelSpec
    folder: Path
    revision: str
    variant: str | None


def open_source(model: str, accept_license: tuple[str, ...] = ()) -> Source:
    """Find a model's folder, download it if it is a hub id, and check it.

    Args:
        model: "starter", a known model's name, a folder, or "owner/name@commit".
        accept_license: names or hub ids of models whose non-commercial license was accepted.

    Raises:
        ModelNotLoaded: if it is not there, not complete, or not safe.
        LicenseNotAccepted: if its license forbids commercial use and was not accepted.
    """
    known = find_model(model)
    if known is not None and known.source == "starter":
        return check_folder(STARTER_WEIGHTS, known.name, known)
    folder, name, commit = locate(model, known, accept_license)
    if commit is None:
        return _check_license(check_folder(folder, name), accept_license)
    source = replace(check_folder(folder, name, known), revision=commit)
    return _check_license(source, accept_license)


def locate(
    model: str, known: ModelSpec | None = None, accept_license: tuple[str, ...] = ()
) -> tuple[Path, str, str | None]:
    """Return a model's folder, what to call it, and its commit if it came from the hub.

    Args:
        model: a folder, or "owner/name@commit", which is fetched.
        known: what is known about it; its license is checked before anything is fetched.
        accept_license: as in `open_source`.

    Raises:
        ModelNotLoaded: if there is no such folder, or no fixed revision to fetch.
        LicenseNotAccepted: if its license forbids commercial use and was not accepted.
    """
    folder = Path(model).expanduser()
    if model.strip() and folder.is_dir():
        return folder, folder.resolve().name, None
    if known is not None:
        require_license(known, accept_license)
    hub_id, commit = pinned(model)
    return fetch(hub_id, commit), hub_id, commit


def known_revision(model: str) -> str:
    """Return a model's revision without loading or fetching it; empty if it is not here."""
    spec = find_model(model)
    folder = Path(model).expanduser()
    try:
        if spec is not None and spec.source == "starter":
            return folder_revision(STARTER_WEIGHTS)
        if model.strip() and folder.is_dir():
            return folder_revision(folder)
    except (OSError, ModelNotLoaded):
        return ""
    return model.partition("@")[2]


def check_folder(folder: Path, name: str, known: ModelSpec | None = None) -> Source:
    """Check that a folder is a complete diffusers model without code or pickles.

    Args:
        folder: diffusers layout.
        name: what to call the model.
        known: its spec; described from its own files if None.

    Raises:
        ModelNotLoaded: saying what is missing or dangerous.
    """
    index_path = folder / "model_index.json"
    shown = f"'{name}'"
    if not index_path.is_file():
        missing = "is not a diffusers folder: model_index.json is missing"
        raise ModelNotLoaded(
            f"Model {shown} {missing}.",
            hint="Train it with `make starter`, or name another model."
            if known is not None and known.source == "starter"
            else "Save the model with save_pretrained, or name its hub id, or use 'starter'.",
        )
    refuse_code(folder, shown)
    index = read_json(index_path, shown)
    components = _components(index, shown)
    configs = {}
    variant = None
    for component, class_name in components.items():
        part = folder / component
        if not part.is_dir():
            raise ModelNotLoaded(
                f"Model {shown} is not complete: its part '{component}' is missing.",
                hint="Copy or download the whole folder again.",
            )
        if _has_weights(class_name):
            configs[component] = read_json(part / "config.json", shown)
            variant = weights_variant(part, shown) or variant
    spec = known
    if spec is None:
        spec = describe(name, str(folder), index, configs)
        origin = find_model(str(index.get("_name_or_path", "")))
        if origin is not None and origin.family.name == spec.family.name:
            spec = replace(origin, source=str(folder), family=spec.family)
    return Source(spec, folder, folder_revision(folder), variant)


def refuse_code(folder: Path, shown: str) -> None:
    """Refuse a folder that brings program code or asks for some.

    Raises:
        ModelNotLoaded: naming the file.
    """
    for path in folder.rglob("*.py"):
        raise ModelNotLoaded(
            f"Model {shown} brings program code ({path.name}).",
            hint="Code from model folders is never run: remove it if the model works without.",
        )
    for path in folder.rglob("*config*.json"):
        if b'"auto_map"' in path.read_bytes()[:_MAX_JSON]:
            raise ModelNotLoaded(
                f"Model {shown} asks for remote code (auto_map in {path.name}).",
                hint="Remote code is never run: use a model that diffusers itself supports.",
            )


def _components(index: dict[str, Any], shown: str) -> dict[str, str]:
    """Return the class name of each component that is present, and refuse foreign modules."""
    pipeline_class = index.get("_class_name")
    if not isinstance(pipeline_class, str) or not pipeline_class.isidentifier():
        raise ModelNotLoaded(
            f"Model {shown} names no diffusers pipeline class.",
            hint="Custom pipelines are never loaded: use a model that diffusers itself supports.",
        )
    found = {}
    for key, value in index.items():
        if key.startswith("_") or not isinstance(value, list):
            continue
        library, class_name = ([*value, None, None])[:2]
        if library is None and class_name is None:
            continue
        if (
            not isinstance(library, str)
            or not isinstance(class_name, str)
            or not class_name.isidentifier()
            or not re.fullmatch(r"[\w-]+", key)
            or not _is_allowed_library(library)
        ):
            raise ModelNotLoaded(
                f"Model {shown} wants its part '{key[:40]}' from {str(value)[:80]}.",
                hint="Only classes of diffusers and transformers are loaded.",
            )
        found[key] = class_name
    return found


def _is_allowed_library(library: str) -> bool:
    """Whether model_index.json may name `library`: the two, a pipeline's module, one of ours."""
    if library in ("diffusers", "transformers", *OWN_MODULES):
        return True
    spec = importlib.util.find_spec("diffusers")
    roots = spec.submodule_search_locations if spec is not None else None
    return (
        library.isidentifier()
        and bool(roots)
        and (Path(next(iter(roots or []))) / "pipelines" / library).is_dir()
    )


def _has_weights(class_name: str) -> bool:
    """Whether a component of this class is a network rather than a schedule or a vocabulary."""
    return not class_name.endswith(
        ("Scheduler", "Tokenizer", "TokenizerFast", "Processor", "ProcessorFast", "Extractor")
    )


def weights_variant(part: Path, shown: str) -> str | None:
    """Return None for plainly named safetensors, "fp16" for that variant.

    Raises:
        ModelNotLoaded: if there are none, or pickles only.
    """
    weights = [path.name for path in part.glob("*.safetensors")]
    if not weights:
        pickles = sorted(path.name for path in part.iterdir() if path.suffix in _PICKLES)
        if pickles:
            raise ModelNotLoaded(
                f"Model {shown} has its part '{part.name}' as a pickle only ({pickles[0]}).",
                hint="Pickles run code when read: convert the model to safetensors.",
            )
        raise ModelNotLoaded(
            f"Model {shown} is not complete: '{part.name}' has no safetensors weights.",
            hint="Copy or download the whole folder again.",
        )
    if all(".fp16" in name for name in weights):
        return "fp16"
    return None


def read_json(path: Path, shown: str) -> dict[str, Any]:
    """Return the object in a JSON file of a model.

    Raises:
        ModelNotLoaded: if it is missing, too large or no object.
    """
    try:
        if path.stat().st_size > _MAX_JSON:
            raise ValueError("too large")
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        loaded = None
    if not isinstance(loaded, dict):
        raise ModelNotLoaded(
            f"Model {shown} has no readable {path.parent.name}/{path.name}.",
            hint="Copy or download the whole folder again.",
        )
    return loaded


def _check_license(source: Source, accepted: tuple[str, ...]) -> Source:
    require_license(source.spec, accepted)
    return source


def require_license(spec: ModelSpec, accepted: tuple[str, ...]) -> None:
    """Refuse a model whose license restricts commercial use, unless its name was accepted.

    Raises:
        LicenseNotAccepted: naming the license and the setting.
    """
    if spec.commercial is not False:
        return
    known = find_model(spec.name)
    names = {spec.name.lower(), (known or spec).source.lower()}
    if names.isdisjoint(name.partition("@")[0].lower() for name in accepted):
        raise LicenseNotAccepted(
            f"The license of '{spec.name}' restricts commercial use: {spec.license}.",
            hint=f"If you may use it, add '{spec.name}' to accept_license.",
        )
