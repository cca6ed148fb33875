"""C2PA content credentials: signed into files when a certificate is set, read from any file.

https://spec.c2pa.org; needs the extra [c2pa]. A home-made certificate proves that a file was not
changed, not who made it: for that a certificate authority must vouch.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import agent_tools
from agent_tools.errors import AgentToolsError, BadSettings

if TYPE_CHECKING:
    from agent_tools.gallery import Gallery
    from agent_tools.image_record import NewImage

_MEDIA_TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}
_TABLE = (
    "CREATE TABLE IF NOT EXISTS sealed (plain_sha256 TEXT, signer TEXT, data_sha256 TEXT, "
    "PRIMARY KEY (plain_sha256, signer))"
)


class Seal:
    """Sign every picture that enters a gallery; uploads stay as they are.

    Signing never gives the same bytes twice, so what was signed is remembered: the same picture
    painted again is the same file again.
    """

    def __init__(self, gallery: Gallery, certificate: Path, key: Path) -> None:
        """Read the certificate chain (PEM, leaf first) and its private key (PEM, P-256).

        Raises:
            BadSettings: if they cannot be read or do not sign.
        """
        self._c2pa = _library()
        try:
            self._chain = certificate.read_bytes()
            self._key = key.read_bytes()
        except OSError as error:
            raise _bad_certificate(str(error)) from None
        self._signer_id = hashlib.sha256(self._chain).hexdigest()
        self._gallery = gallery
        with gallery.transaction() as connection:
            connection.execute(_TABLE)
        self._new_signer().close()

    def __call__(self, image: NewImage) -> NewImage:
        """Return the picture with its signed file."""
        if image.tool == "upload":
            return image
        plain = hashlib.sha256(image.data).hexdigest()
        known = self._known(plain)
        if known is None:
            known = self._sign(image)
            with self._gallery.transaction() as connection:
                connection.execute(
                    "INSERT OR REPLACE INTO sealed VALUES (?, ?, ?)",
                    (plain, self._signer_id, hashlib.sha256(known).hexdigest()),
                )
        return replace(image, data=known)

    def _known(self, plain: str) -> bytes | None:
        with self._gallery.lock:
            row = self._gallery.connection.execute(
                "SELECT data_sha256 FROM sealed WHERE plain_sha256 = ? AND signer = ?",
                (plain, self._signer_id),
            ).fetchone()
        if row is None:
            return None
        files = list((self._gallery.files / row[0][:2]).glob(f"{row[0]}.*"))
        return files[0].read_bytes() if files else None

    def _sign(self, image: NewImage) -> bytes:
        from agent_tools.provenance import source_type_of

        action = {
            "action": "c2pa.created",
            "digitalSourceType": source_type_of(image.data),
            "softwareAgent": {"name": "agent-tools", "version": agent_tools.__version__},
        }
        manifest = {
            "claim_generator_info": [{"name": "agent-tools", "version": agent_tools.__version__}],
            "title": image.title,
            "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
        }
        # A thumbnail inside would add up to 400 KB; the picture is its own.
        settings = self._c2pa.Settings.from_dict({"builder": {"thumbnail": {"enabled": False}}})
        out = io.BytesIO()
        with self._c2pa.Context(settings) as context, self._new_signer() as signer:
            builder = self._c2pa.Builder(json.dumps(manifest), context)
            builder.sign(signer, image.media_type, io.BytesIO(image.data), out)
        return out.getvalue()

    def _new_signer(self) -> Any:
        try:
            # No time stamp authority: signing works offline.
            return self._c2pa.Signer.from_info(
                self._c2pa.C2paSignerInfo("es256", self._chain, self._key, None)
            )
        except Exception as error:
            raise _bad_certificate(str(error)) from None


def read_credentials(data: bytes) -> dict[str, Any] | None:
    """Return what content credentials in a PNG, JPEG or WebP say, or None if there are none.

    Returns:
        "state" ("Valid", "Trusted" or "Invalid"), "issuer", "title", "actions", "problems".

    Raises:
        AgentToolsError: if the extra is not installed.
    """
    c2pa = _library()
    media_type = next((name for head, name in _MEDIA_TYPES.items() if data.startswith(head)), None)
    if media_type is None:
        return None
    try:
        with c2pa.Reader(media_type, io.BytesIO(data)) as reader:
            state = reader.get_validation_state()
            said = json.loads(reader.json())
    except c2pa.C2paError as error:
        if "ManifestNotFound" in str(error):
            return None
        return {"state": "Invalid", "problems": [str(error)[:200]]}
    active = said["manifests"][said["active_manifest"]]
    actions = [
        action
        for assertion in active.get("assertions", [])
        if assertion["label"].startswith("c2pa.actions")
        for action in assertion["data"]["actions"]
    ]
    return {
        "state": state,
        "issuer": active.get("signature_info", {}).get("issuer"),
        "title": active.get("title"),
        "actions": [
            {name: action.get(name) for name in ("action", "digitalSourceType")}
            for action in actions
        ],
        "problems": [problem["code"] for problem in said.get("validation_status", [])],
    }


def _library() -> Any:
    try:
        import c2pa
    except ImportError:
        raise AgentToolsError(
            "Content credentials need the extra [c2pa].",
            code="missing_extra",
            hint="Install it: pip install 'agent-tools[c2pa]'.",
        ) from None
    return c2pa


def _bad_certificate(problem: str) -> BadSettings:
    return BadSettings(
        f"The certificate or key for content credentials cannot be used: {problem[:200]}.",
        hint="Make a pair with: agent-tools certificate create FOLDER.",
        data={"setting": "c2pa_certificate"},
    )
