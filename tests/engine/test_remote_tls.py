"""A remote engine over https: who is trusted, and what is said to the others."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from engine_helpers import paint
from images_api_stub import KEY, ImagesApi, serving
from remote_helpers import ask

from engine.errors import RemoteRefused
from engine.remote import RemoteEngine

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for this machine that nobody signed, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(here, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    file.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return file


async def test_an_unknown_certificate_ends_it_before_the_key_is_sent(certificate: Path) -> None:
    async with serving(ImagesApi(), certificate) as api:
        engine = RemoteEngine(api.url, KEY, model="painter-1")
        with pytest.raises(RemoteRefused, match="SSL_CERT_FILE") as caught:
            await paint(engine, ask())
        assert not caught.value.retryable and api.received == []


async def test_a_certificate_named_in_the_environment_is_trusted(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with serving(ImagesApi(), certificate) as api:
        engine = RemoteEngine(api.url, KEY)
        assert (await paint(engine, ask())).images
