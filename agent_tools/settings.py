"""Settings: one frozen object from defaults < TOML file < AGENT_TOOLS_* < flags.

An unknown name or a malformed value is an error that names its source; nothing is ignored. Relative
paths in a file are relative to its folder, all others to the working folder.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from agent_tools.errors import BadSettings
from engine.registry import find_model
from engine.remote_address import check_address, check_key
from kb_export.targets import known_schemes
from kb_export.targets.settings import variable_name

PREFIX = "AGENT_TOOLS_"
CONFIG_FILE = "agent-tools.toml"
_PATHS = frozenset({"data", "policy", "c2pa_certificate", "c2pa_key"})
_MODELS = frozenset(
    {
        "model",
        "models",
        "model_aliases",
        "checker",
        "controlnet",
        "upscaler",
        "segmenter",
        "captioner",
        "caption_checker",
        "encoder",
    }
)
# Never shown in an error; an address may be refused because it carries a password.
_SECRET = frozenset({"token", "engine_api_key", "engine"})


def default_data_dir() -> Path:
    """Return where pictures and records live unless told otherwise."""
    return Path(platformdirs.user_data_dir("agent-tools", appauthor=False))


def cost_file() -> Path:
    """Return where measured costs of this machine are kept between starts."""
    return Path(platformdirs.user_cache_dir("agent-tools", appauthor=False)) / "costs.json"


class Settings(BaseModel):
    """Everything that can be set. Environment names are AGENT_TOOLS_ plus the upper-case name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Path = Field(
        default_factory=default_data_dir,
        description="Folder of the gallery, personas and local knowledge base.",
    )
    model: str = Field(
        default="starter", description="'starter', a diffusers folder, or a hub id (id@revision)."
    )
    models: tuple[str, ...] = Field(
        default=(),
        description="Further models, comma-separated, that calls may name; loaded on demand.",
    )
    model_aliases: tuple[str, ...] = Field(
        default=(),
        description="Names that callers of the Images API may use for models, comma-separated, as "
        "'dall-e-3=starter'. Other unknown names get the default model.",
    )
    images_deadline_s: float = Field(
        default=600, gt=0, description="Longest time of one call of the Images API, seconds."
    )
    memory_gb: float = Field(
        default=16,
        gt=0,
        description="What the weights of all loaded models may take together; the least recently "
        "used model leaves.",
    )
    device: str | None = Field(default=None, description="'cpu', 'cuda', ...; chosen if unset.")
    threads: int | None = Field(
        default=None, ge=1, le=256, description="CPU threads; sized from the CPU quota if unset."
    )
    max_queue_s: float = Field(
        default=120, gt=0, description="Seconds of waiting work after which calls get 'busy'."
    )
    precision: Literal["float32", "bfloat16", "float16"] | None = Field(
        default=None, description="Number format of the weights; the fastest safe one if unset."
    )
    quantization: (
        Literal["bitsandbytes-4bit", "bitsandbytes-8bit", "torchao-int8", "torchao-float8"] | None
    ) = Field(
        default=None, description="Packing of the denoiser's weights; needs the package it names."
    )
    offload: Literal["stages", "model", "group"] | None = Field(
        default=None,
        description="Move networks off the device when they do not compute: 'stages' still shares "
        "forwards; 'model' and 'group' are diffusers' own, one request at a time.",
    )
    attention: str | None = Field(
        default=None, description="diffusers attention backend, such as 'native' or 'flash'."
    )
    compile: bool = Field(
        default=False, description="Compile the denoiser's repeated blocks (CUDA only)."
    )
    backend: Literal["torch", "openvino"] = Field(
        default="torch", description="What computes the denoiser; openvino needs its extra."
    )
    exact_replay: bool = Field(
        default=True,
        description="Paint so that replay gives the same bytes at any load. Off: requests share "
        "forwards, which is faster under load, and replay may differ by 1 of 255. A remote "
        "engine does as it likes.",
    )
    policy: Path | None = Field(
        default=None,
        description="TOML file with rules of what is never painted, beside the ones there are "
        "(docs/policy.md).",
    )
    checker: str | None = Field(
        default=None,
        description="Image classifier of transformers (a folder or hub id@commit) that looks at "
        "every painted picture before anybody else does (docs/policy.md).",
    )
    checker_refuses: tuple[str, ...] = Field(
        default=("nsfw",), description="Labels of the checker that are withheld."
    )
    checker_threshold: float = Field(
        default=0.5, gt=0, le=1, description="Score from which the checker withholds a picture."
    )
    c2pa_certificate: Path | None = Field(
        default=None,
        description="Certificate chain (PEM) that signs every new picture (extra [c2pa]); make one "
        "with: agent-tools certificate create.",
    )
    c2pa_key: Path | None = Field(default=None, description="Its private key (PEM, P-256).")
    accept_license: tuple[str, ...] = Field(
        default=(), description="Models whose non-commercial license you have accepted."
    )
    controlnet: str | None = Field(
        default=None,
        description="ControlNet that lets the model follow line drawings: a folder or a hub id "
        "(id@revision) made for this model's family.",
    )
    upscaler: str | None = Field(
        default=None,
        description="Network that enlarges pictures: a folder or hub id (id@revision) of a "
        "diffusers upscale pipeline, or a .safetensors file (extra [spandrel]).",
    )
    segmenter: str | None = Field(
        default=None,
        description="Model that finds a product from a point or box (a folder or hub id@commit of "
        "SAM 2 or its kin) or cuts it out (an .onnx or .xml file, such as BiRefNet); products are "
        "selected by color if unset.",
    )
    engine: str | None = Field(
        default=None,
        description="Address of an OpenAI-compatible Images API, such as https://host/v1, that "
        "paints instead of this process; plain http on this machine only.",
    )
    engine_api_key: SecretStr | None = Field(
        default=None, description="API key of that server: printable ASCII without spaces."
    )
    engine_model: str | None = Field(
        default=None, description="Model to ask that server for; its only one if unset."
    )
    engine_extras: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Whether that server is sent seed, steps and other keys that OpenAI's API does "
        "not have: 'auto' leaves out what it refuses.",
    )
    tools: tuple[str, ...] = Field(
        default=(),
        description="Tools that agents are offered, comma-separated, such as "
        "'generate_image,get_image'; 'core' stands for the nine that most need. All if unset. "
        "get_job and cancel_job always come along.",
    )
    images: Literal["inline", "link", "both", "none"] = Field(
        default="both", description="How pictures travel in tool results."
    )
    structured: bool = Field(default=True, description="Send structured content beside the text.")
    links: Literal["resource", "https", "text"] = Field(
        default="resource", description="Form of links; https needs public_url."
    )
    answer_within_s: float = Field(
        default=45,
        gt=0,
        le=3600,
        description="Seconds after which a call over MCP is answered with a job_id and goes on in "
        "the background; many clients give up at 60.",
    )
    apps: bool = Field(
        default=True, description="Offer the gallery inside the chat (MCP Apps) to hosts."
    )
    public_url: str | None = Field(default=None, description="Web address of the HTTP server.")
    signed_links: bool = Field(
        default=True,
        description="Web addresses of pictures show that one picture without the token, for <img> "
        "and knowledge bases. Off: they need the token.",
    )
    token: SecretStr | None = Field(
        default=None,
        description="Bearer token of the HTTP server that allows everything; `agent-tools token "
        "create` makes tokens that allow less.",
    )
    oauth_issuer: str | None = Field(
        default=None, description="Identity provider whose access tokens (JWT) are taken."
    )
    oauth_audience: str | None = Field(
        default=None,
        description="Audience those tokens must name; public_url plus /mcp if unset.",
    )
    oauth_jwks: str | None = Field(
        default=None,
        description="Address of the provider's keys; found through its metadata if unset.",
    )
    shared_gallery: bool = Field(
        default=False, description="Let all callers see and use each other's pictures and personas."
    )
    allow_fetch: bool = Field(
        default=False, description="Let callers bring pictures in by https address."
    )
    rate_per_minute: int | None = Field(
        default=None, ge=1, description="Requests that one caller may make in a minute."
    )
    budget_s_per_hour: float | None = Field(
        default=None, gt=0, description="Seconds of painting that one caller may use in an hour."
    )
    max_connections: int = Field(
        default=512, ge=8, le=65_536, description="Connections held at a time."
    )
    kb: str | None = Field(
        default=None,
        description="Default knowledge base: folder:PATH, s3://bucket/prefix, or another kind.",
    )
    s3_endpoint: str | None = Field(default=None, description="S3 endpoint for other stores.")
    kb_public: bool = Field(
        default=False, description="Show the pages at /kb/ to everybody, without the token."
    )
    language: str = Field(
        default="en",
        pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}$",
        description="Language of captions, as en or de-AT.",
    )
    captioner: str | None = Field(
        default=None,
        description="Vision-language model that describes uploads: a folder or hub id@revision.",
    )
    caption_checker: str | None = Field(
        default=None,
        description="CLIP, SigLIP or vision-language model that compares captions with pictures "
        "before export: a folder or hub id@revision.",
    )
    encoder: str | None = Field(
        default=None,
        description="Sentence encoder of search: a folder as sentence-transformers writes it, or a "
        "hub id@revision; the installed MiniLM if unset.",
    )
    search_min_score: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Score below which search stays silent; 0.2 for MiniLM if unset. Choose "
        "another one with another encoder.",
    )
    auto_export: bool = Field(
        default=False, description="Queue every new picture for the default knowledge base."
    )
    max_upload_mb: float = Field(default=20, gt=0, le=200, description="Largest picture taken in.")
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator(
        "accept_license", "models", "model_aliases", "checker_refuses", "tools", mode="before"
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        return (
            tuple(v.strip() for v in value.split(",") if v.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("model_aliases", mode="after")
    @classmethod
    def _check_aliases(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pair in value:
            alias, _, target = pair.partition("=")
            if not alias.strip() or not target.strip():
                raise ValueError(f"'{pair}' is not written as alias=model")
        return value

    @field_validator(*sorted(_PATHS), mode="after")
    @classmethod
    def _expand(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @field_validator("engine", mode="after")
    @classmethod
    def _check_address(cls, value: str | None) -> str | None:
        return None if value is None else check_address(value)

    @field_validator("engine_api_key", mode="after")
    @classmethod
    def _check_key(cls, value: SecretStr | None) -> SecretStr | None:
        return None if value is None else SecretStr(check_key(value.get_secret_value()))

    @property
    def aliases(self) -> dict[str, str]:
        """The model that each alias leads to."""
        pairs = (pair.partition("=") for pair in self.model_aliases)
        return {alias.strip(): target.strip() for alias, _, target in pairs}

    @property
    def kb_target(self) -> str:
        """The default knowledge base, a folder inside the data directory if none is set."""
        return self.kb or f"folder:{self.data / 'kb'}"

    @property
    def kb_pages_root(self) -> Path:
        """The folder of the collections that the HTTP server shows at /kb/."""
        return self.data / "kb-pages"


def load_settings(
    flags: Mapping[str, Any] | None = None,
    *,
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Build the settings once, at start.

    Args:
        flags: values from the command line; None values are unset.
        config: a TOML file; without it ./agent-tools.toml is read if it exists.
        environ: the environment, os.environ by default.

    Raises:
        BadSettings: for an unknown name or a malformed value, naming where it came from.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for source, found in (
        (str(config or CONFIG_FILE), _from_toml(config)),
        ("the environment", _from_environment(environ)),
        ("the command line", {k: v for k, v in (flags or {}).items() if v is not None}),
    ):
        for name, value in found.items():
            if name not in Settings.model_fields:
                raise _unknown(name, source)
            values[name], origin[name] = value, source
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        shown = "(hidden)" if name in _SECRET else repr(first["input"])
        raise BadSettings(
            f"Setting '{name}' from {origin.get(name, 'defaults')} is not valid: "
            f"{shown}: {first['msg']}.",
            hint=Settings.model_fields[name].description or "",
            data={"setting": name},
        ) from None


def _from_toml(config: Path | None) -> dict[str, Any]:
    path = config or Path(CONFIG_FILE)
    if not path.is_file():
        if config is not None:
            raise BadSettings(
                f"There is no settings file {path.absolute()}.", hint="Check --config."
            )
        return {}
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings(f"{path} is not valid TOML: {error}.", hint="Mend the file.") from None

    folder = path.absolute().parent
    return {name: _beside(name, value, folder) for name, value in found.items()}


def _beside(name: str, value: Any, folder: Path) -> Any:
    """Return a setting of a file with its relative paths made absolute; `folder` is the file's."""
    if isinstance(value, list):
        return [_beside(name, one, folder) for one in value]
    if not isinstance(value, str) or not value:
        return value
    if name in _PATHS:
        return str(folder / Path(value).expanduser())
    if name == "kb" and value.startswith("folder:"):
        return f"folder:{folder / Path(value.removeprefix('folder:')).expanduser()}"
    if name in _MODELS:
        return ",".join(_model_beside(one, folder) for one in value.split(","))
    return value


def _model_beside(said: str, folder: Path) -> str:
    """Return a model's folder as an absolute path; hub ids and known names stay."""
    alias, equals, name = said.rpartition("=")
    name = name.strip()
    path = folder / Path(name).expanduser()
    # "models/mine" could be a hub id, too: it is a path where there is a folder to look into.
    a_path = (
        path.exists() or name.startswith(".") or (folder != path.parent and path.parent.is_dir())
    )
    if not name or find_model(name) is not None or not a_path:
        return said
    return f"{alias}{equals}{path}"


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    # What begins like a kind of knowledge base is that kind's own (kb_export.targets.settings).
    kinds = tuple(f"{variable_name(scheme, '')}" for scheme in known_schemes())
    return {
        k[len(PREFIX) :].lower(): v
        for k, v in environ.items()
        if k.startswith(PREFIX) and not k.startswith(kinds)
    }


def _unknown(name: str, source: str) -> BadSettings:
    known = sorted(Settings.model_fields)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    guess = f"Did you mean {' or '.join(repr(one) for one in near)}? " if near else ""
    return BadSettings(
        f"Unknown setting '{name}' from {source}.",
        hint=f"{guess}All settings are described in agent_tools/settings.py (README, Settings).",
        data={"setting": name, "known": known},
    )
