"""Signatures of webhooks, as the Standard Webhooks specification 1.0.0 writes them.

    webhook-id         the message's id, the same on every attempt
    webhook-timestamp  Unix time of this attempt
    webhook-signature  "v1," and base64 of HMAC-SHA256 over "<id>.<timestamp>.<body>"; several
                       signatures are separated by spaces, one for each secret in use

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence

TOLERANCE_S = 300
_PREFIX = "whsec_"


class BadSignature(ValueError):
    """Say why a message must not be believed."""


def read_secrets(text: str) -> tuple[bytes, ...]:
    """Return the keys of one or more secrets ("whsec_" and base64), separated by spaces.

    Two are in use while one replaces the other.

    Raises:
        ValueError: if one is malformed, or its key has not 24 to 64 bytes; never repeats it.
    """
    keys = []
    for word in text.split():
        try:
            if not word.startswith(_PREFIX):
                raise ValueError
            key = base64.b64decode(word.removeprefix(_PREFIX), validate=True)
            if not 24 <= len(key) <= 64:
                raise ValueError
        except (ValueError, binascii.Error):
            raise ValueError(
                "a secret must be 'whsec_' and the base64 of 24 to 64 random bytes"
            ) from None
        keys.append(key)
    if not keys:
        raise ValueError("there is no secret")
    return tuple(keys)


def sign(keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the three headers of one attempt to deliver a message."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{_signature(key, signed)}" for key in keys),
    }


def verify(
    keys: Sequence[bytes],
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float,
    tolerance_s: float = TOLERANCE_S,
) -> str:
    """Return the id of a message that is ours and fresh; a receiver keeps ids it has seen.

    Args:
        headers: by lower-case name.
        body: the bytes as they came.
        now: Unix time.
        tolerance_s: how old, or how far in the future, a message may be.

    Raises:
        BadSignature: for anything else.
    """
    message_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not message_id or not re.fullmatch(r"[0-9]{1,12}", timestamp):
        raise BadSignature("a header is missing or malformed")
    if abs(now - int(timestamp)) > tolerance_s:
        raise BadSignature("the message is too old, or from the future")
    signed = f"{message_id}.{timestamp}.".encode() + body
    given = [
        word.removeprefix("v1,").encode()
        for word in headers.get("webhook-signature", "").split()
        if word.startswith("v1,")
    ]
    wanted = [_signature(key, signed).encode() for key in keys]
    if not any(hmac.compare_digest(one, other) for one in given for other in wanted):
        raise BadSignature("no signature fits")
    return message_id


def _signature(key: bytes, signed: bytes) -> str:
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
