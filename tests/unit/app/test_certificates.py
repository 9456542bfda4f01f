"""The self-made certificate: made once, trusted by whoever is given it, renewed in time."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest

from staffetta.app.certificates import RENEW_DAYS, VALID_DAYS, ensure_certificate
from staffetta.app.config import Config
from staffetta.app.config_file import load
from staffetta.runtime.clock import SystemClock
from staffetta.runtime.net import load_certificate, server_tls

CLOCK = SystemClock()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load(None, tmp_path, None)


def shake_hands(server: ssl.SSLContext, trusted: Path, name: str) -> dict[str, object]:
    """A whole handshake in memory; returns the certificate that the client saw."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    client = ssl.create_default_context(cafile=str(trusted))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    theirs = client.wrap_bio(to_client, to_server, server_hostname=name)
    waiting = {ours, theirs}
    while waiting:
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.discard(side)
            except ssl.SSLWantReadError:
                continue
    seen = theirs.getpeercert()
    assert seen is not None
    return dict(seen)


@pytest.mark.parametrize("name", ["mail.example", "localhost", "127.0.0.1", "::1"])
def test_a_client_that_trusts_it_gets_in(config: Config, name: str) -> None:
    certificate, key = ensure_certificate(config, "mail.example", CLOCK)
    assert shake_hands(server_tls(certificate, key), certificate, name)["subject"]
    assert key.stat().st_mode & 0o777 == 0o600


def test_another_name_is_refused(config: Config) -> None:
    certificate, key = ensure_certificate(config, "mail.example", CLOCK)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server_tls(certificate, key), certificate, "other.example")


def test_it_is_made_once_and_renewed_in_time(config: Config) -> None:
    certificate, _ = ensure_certificate(config, "mail.example", CLOCK)
    first = certificate.read_bytes()
    ensure_certificate(config, "mail.example", CLOCK)
    assert certificate.read_bytes() == first
    made_s = certificate.stat().st_mtime - (VALID_DAYS - RENEW_DAYS) * 86_400 - 1
    os.utime(certificate, (made_s, made_s))
    ensure_certificate(config, "mail.example", CLOCK)
    assert certificate.read_bytes() != first


def test_a_renewed_one_is_shown_by_the_context_in_use(config: Config, tmp_path: Path) -> None:
    context = server_tls(*ensure_certificate(config, "mail.example", CLOCK))
    other = load(None, tmp_path / "other", None)
    certificate, key = ensure_certificate(other, "new.example", CLOCK)
    load_certificate(context, certificate, key)
    shake_hands(context, certificate, "new.example")


def test_one_that_is_given_is_used_and_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('[tls]\ncertificate = "c.pem"\nkey = "k.pem"\n')
    found = ensure_certificate(load(file, None, None), "mail.example", CLOCK)
    assert found == (tmp_path / "c.pem", tmp_path / "k.pem")
    assert not found[0].exists()
