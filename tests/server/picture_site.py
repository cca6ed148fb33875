"""A web server with pictures, for fetches that think it is far away."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from server import fetch as fetching
from server.fetch import FetchLimits, fetch

HOST = "pictures.example"
PUBLIC = "93.184.215.14"
LIMITS = FetchLimits(max_bytes=100_000, seconds=5)


class Site:
    """A web server with a certificate for one name, on loopback, that answers what it is told."""

    def __init__(self, folder: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
            .sign(key, hashes.SHA256())
        )
        self.certificate = folder / "certificate.pem"
        self.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        secret = folder / "key.pem"
        secret.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificate, secret)
        self.answers: dict[str, bytes] = {}
        self.heads: list[str] = []
        self.connected: list[tuple[str, int, str | None]] = []
        self.resolved: list[str] = []
        self.addresses = [PUBLIC]
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        answer = self.answers.get(head.split()[1], b"HTTP/1.1 404 Gone\r\n\r\n")
        writer.write(answer)
        if b"Hold: yes" in answer:
            await reader.read()
        writer.close()

    async def resolve(self, host: str, port: int) -> list[str]:
        self.resolved.append(host)
        return self.addresses

    async def connect(self, address: str, port: int, tls_name: str | None) -> fetching.Stream:
        """Note where it would go, and go to this server instead, checking its certificate."""
        self.connected.append((address, port, tls_name))
        context = ssl.create_default_context(cafile=str(self.certificate))
        return await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=context, server_hostname=tls_name
        )

    async def get(self, path: str, limits: FetchLimits = LIMITS, **options: object) -> bytes:
        return await fetch(
            f"https://{HOST}{path}", limits, resolve=self.resolve, connect=self.connect, **options
        )
