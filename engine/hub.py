"""Models of the hub: pinned to a commit, fetched as data only. Loads no torch."""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import Any

from engine.errors import ModelNotLoaded
from engine.registry import KNOWN_MODELS, find_model

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
# What a hub download may bring: data only.
_DATA_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]


def pinned(model: str) -> tuple[str, str]:
    """Return the hub id and the commit that "owner/name@commit" or "known-name@commit" says.

    Raises:
        ModelNotLoaded: if it is neither, or names no commit.
    """
    name, _, commit = model.partition("@")
    known = find_model(model)
    hub_id = known.source if known is not None else name
    if not _HUB_ID.fullmatch(hub_id) or Path(model).expanduser().is_absolute():
        raise ModelNotLoaded(
            f"There is no model '{model}'.",
            hint="Give 'starter', an existing diffusers folder, or owner/name@commit; known: "
            + ", ".join(spec.name for spec in KNOWN_MODELS)
            + ".",
        )
    if not _COMMIT.fullmatch(commit):
        raise ModelNotLoaded(
            f"'{model}' names no fixed revision, so what it loads could change.",
            hint=f"Write {hub_id}@ and the 40 hex digits of a commit from its page.",
        )
    return hub_id, commit


def cached_revisions(hub_id: str) -> tuple[str, ...]:
    """Return the commits of a hub model that are in the local cache, whole or in part."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=hub_id, repo_type="model")
    try:
        return tuple(sorted(path.name for path in (folder / "snapshots").iterdir()))
    except OSError:
        return ()


def fetch(hub_id: str, commit: str, *, show: bool = False) -> Path:
    """Fetch one commit's data files, as far as they are not in the local cache; return the folder.

    What was fetched before an interruption is kept.

    Args:
        hub_id: "owner/name".
        commit: 40 hex digits.
        show: progress bars on stderr.

    Raises:
        ModelNotLoaded: saying why, and what to do.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
    from huggingface_hub.utils.tqdm import tqdm

    class Silent(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call]

    try:
        folder = snapshot_download(
            hub_id,
            revision=commit,
            allow_patterns=_DATA_FILES,
            tqdm_class=tqdm if show else Silent,
        )
    except Exception as error:
        hint = "Check the network, or download the model elsewhere and give its folder."
        if isinstance(error, GatedRepoError):
            hint = "Accept its terms on its page, then log in with: hf auth login."
        elif isinstance(error, RepositoryNotFoundError):
            hint = "Check the id; private models need: hf auth login."
        elif isinstance(error, OSError) and error.errno == errno.ENOSPC:
            hint = "The disk is full; HF_HOME moves the cache. What was fetched is kept."
        raise ModelNotLoaded(
            f"'{hub_id}' at {commit[:8]} could not be fetched: {type(error).__name__}.", hint=hint
        ) from error
    return Path(folder)
