"""The certificate that is made when none is given, good enough for loopback and trials."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from staffetta.app.config import Config
from staffetta.runtime.clock import Clock

VALID_DAYS = 365
RENEW_DAYS = 30


def ensure_certificate(config: Config, host_name: str, clock: Clock) -> tuple[Path, Path]:
    """The files of the certificate and of its key; made, or made anew, where necessary.

    Raises `OSError`.
    """
    if config.tls.certificate:
        return Path(config.tls.certificate), Path(config.tls.key)
    certificate, key = config.data.tls / "certificate.pem", config.data.tls / "key.pem"
    now = datetime.datetime.fromtimestamp(clock.now_us() // 1_000_000, datetime.UTC)
    if not _serves(certificate, key, now):
        _make(certificate, key, host_name, now)
    return certificate, key


def _serves(certificate: Path, key: Path, now: datetime.datetime) -> bool:
    if not certificate.exists() or not key.exists():
        return False
    age_s = now.timestamp() - certificate.stat().st_mtime
    return age_s < (VALID_DAYS - RENEW_DAYS) * 86_400


def _make(certificate: Path, key: Path, host_name: str, now: datetime.datetime) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host_name[:64])])
    subject_key = x509.SubjectKeyIdentifier.from_public_key(private.public_key())
    names: list[x509.GeneralName] = [
        x509.DNSName(one) for one in dict.fromkeys((host_name, "localhost"))
    ]
    names += [x509.IPAddress(ipaddress.ip_address(one)) for one in ("127.0.0.1", "::1")]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(subject_key, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(subject_key),
            critical=False,
        )
        .sign(private, hashes.SHA256())
    )
    certificate.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key.touch(mode=0o600)
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
