"""Other people's SMTP clients against the running service, and a probe of its manners."""

from __future__ import annotations

import contextlib
import os
import shutil
import smtplib
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from drills.service import PASSWORD, CommandFailed, DrillService
from staffetta.app.config_file import load
from staffetta.app.volumes import StorageVolumes
from staffetta.app.wiring import open_log_reader
from staffetta.log.facts import Kind

pytestmark = [pytest.mark.service, pytest.mark.interop, pytest.mark.timeout(600)]

ADDRESS = "anna@libero.example"
MESSAGE = "From: a@elsewhere.example\r\nSubject: prova\r\n\r\nCiao, è arrivata?\r\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DrillService]:
    running = DrillService(tmp_path_factory.mktemp("smtp"), 39_500)
    running.set_up()
    running.run("account", "add", ADDRESS, "--plan", "free", "--password", PASSWORD)
    with running:
        yield running


def accepted(service: DrillService) -> int:
    try:
        return int(service.ask("sums", "--since", "1d")["log"]["accepted"])
    except CommandFailed:  # nothing has ever come: there is no log yet
        return 0


def test_smtplib_over_starttls(service: DrillService) -> None:
    before = accepted(service)
    unverified = ssl.create_default_context()
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE  # the certificate is self-made
    with smtplib.SMTP("127.0.0.1", service.smtp_port) as client:
        client.starttls(context=unverified)
        client.sendmail("a@elsewhere.example", [ADDRESS], MESSAGE.encode())
    assert accepted(service) == before + 1


def test_smtplib_is_told_of_an_unknown_recipient(service: DrillService) -> None:
    with (
        smtplib.SMTP("127.0.0.1", service.smtp_port) as client,
        pytest.raises(smtplib.SMTPRecipientsRefused) as refused,
    ):
        client.sendmail("a@elsewhere.example", ["nessuno@libero.example"], MESSAGE.encode())
    code, text = refused.value.recipients["nessuno@libero.example"]
    assert (code, text[:5]) == (550, b"5.1.1")


@pytest.mark.skipif(not shutil.which("swaks"), reason="swaks is not here")
@pytest.mark.parametrize(
    "options", [["--ehlo", "swaks.example"], ["--pipeline"], ["--protocol", "LMTP"]]
)
def test_swaks(service: DrillService, options: list[str]) -> None:
    before = accepted(service)
    port = service.port_base + 24 if "LMTP" in options else service.smtp_port
    command = ["swaks", "--server", f"127.0.0.1:{port}", "--from", "a@elsewhere.example"]
    done = subprocess.run(
        [*command, "--to", ADDRESS, *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert accepted(service) == before + 1


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not here")
def test_curl_sends_and_reads(service: DrillService, tmp_path: Path) -> None:
    file = tmp_path / "mail.eml"
    file.write_bytes(MESSAGE.encode())
    send = ["curl", "-sS", f"smtp://127.0.0.1:{service.smtp_port}", "--mail-from",
            "a@elsewhere.example", "--mail-rcpt", ADDRESS, "-T", str(file)]  # fmt: skip
    assert subprocess.run(send, check=False).returncode == 0
    service.wait_delivered(30)
    read = ["curl", "-sS", f"imap://127.0.0.1:{service.imap_port}/INBOX;MAILINDEX=1",
            "-u", f"{ADDRESS}:{PASSWORD}"]  # fmt: skip
    found = subprocess.run(read, capture_output=True, check=False).stdout
    assert b"Subject:" in found


@contextlib.contextmanager
def written_out(service: DrillService, folder: Path) -> Iterator[None]:
    """Each accepted message as a file, as a probe wants it that looks at what has arrived."""
    config = load(service.data / "drill.toml", None, None)
    ended = threading.Event()

    def write() -> None:
        reader = open_log_reader(config, StorageVolumes(config))
        after = 0
        while not ended.wait(0.1):
            for entry in reader.read(1, after, 100, frozenset({Kind.ACCEPTED})):
                after = entry.position
                [body] = reader.bodies(1, [after])
                (folder / f"{after}.eml").write_bytes(body)
        reader.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def find_probe() -> Path | None:
    named = os.environ.get("STAFFETTA_SMTP_PROBE")
    path = Path(named) if named else Path(__file__).parents[3] / "shared/tools/smtp_probe.py"
    return path if path.is_file() else None


@pytest.mark.skipif(find_probe() is None, reason="no probe of SMTP manners here")
def test_manners(service: DrillService, tmp_path: Path) -> None:
    probe = [sys.executable, str(find_probe()), "127.0.0.1", str(service.smtp_port)]
    with written_out(service, tmp_path):
        done = subprocess.run(
            [*probe, ADDRESS, "x@foreign.example", str(tmp_path)],
            capture_output=True,
            text=True,
            check=True,
        )
    print(done.stdout)
    passed, total = done.stdout.split()[0].split("/")
    assert int(passed) >= 84, done.stdout
    assert int(passed) >= int(total) - 3, done.stdout
    assert "smuggle" not in done.stdout, done.stdout
