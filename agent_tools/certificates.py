"""A certificate of one's own for content credentials: for development, nobody else trusts it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent_tools.errors import InvalidArguments


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where a new certificate is: chain (leaf first), private key, and the root to trust."""

    chain: Path
    key: Path
    root: Path


def create_certificate(folder: Path, name: str, days: int = 365) -> CertificateFiles:
    """Make a root and a signing certificate (P-256), as C2PA asks, and write them.

    The root's own key is thrown away: nothing else can ever be signed by it.

    Raises:
        InvalidArguments: if the folder holds such files already.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    files = CertificateFiles(folder / "chain.pem", folder / "key.pem", folder / "root.pem")
    taken = [path.name for path in (files.chain, files.key, files.root) if path.exists()]
    if taken:
        raise InvalidArguments(
            f"{folder} has {', '.join(taken)} already.", hint="Choose another folder."
        )

    def named(common: str) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, name),
                x509.NameAttribute(NameOID.COMMON_NAME, common),
            ]
        )

    def built(
        subject: x509.Name, public: ec.EllipticCurvePublicKey, *, authority: bool
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(root_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=not authority,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    key_cert_sign=authority,
                    crl_sign=authority,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()),
                critical=False,
            )
        )

    now = datetime.now(UTC)
    root_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root_name = named(f"{name} root (development)")
    root = built(root_name, root_key.public_key(), authority=True).sign(root_key, hashes.SHA256())
    leaf = (
        built(named(f"{name} (development)"), leaf_key.public_key(), authority=False)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
        )
        .sign(root_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    folder.mkdir(parents=True, exist_ok=True)
    secret = leaf_key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with os.fdopen(os.open(files.key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secret)
    files.chain.write_bytes(leaf.public_bytes(pem) + root.public_bytes(pem))
    files.root.write_bytes(root.public_bytes(pem))
    return files
