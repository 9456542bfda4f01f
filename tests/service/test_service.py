"""The whole service, started as an operator starts it."""

from __future__ import annotations

import http.client
import imaplib
import os
import signal
import smtplib
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from staffetta.app.certificates import ensure_certificate
from staffetta.app.commands.demo import PASSWORD
from staffetta.app.config_file import load
from staffetta.runtime.clock import SystemClock

from .running import RunningService, running, wait_until

pytestmark = pytest.mark.service
ANNA = "anna@libero.example"
CELL = "c1"  # where Anna's mailbox is


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[RunningService]:
    with running(tmp_path, "-m", "staffetta", "demo") as service:
        service.wait_ready()
        yield service


def send(service: RunningService, subject: str, recipient: str = ANNA) -> str:
    """Send a message; returns what the `250` said."""
    with smtplib.SMTP("127.0.0.1", service.base + 25, timeout=30) as client:
        client.ehlo()
        client.mail("you@elsewhere.example")
        assert client.rcpt(recipient)[0] == 250
        code, text = client.data(f"Subject: {subject}\r\n\r\nText.\r\n")
        assert code == 250
        return text.decode()


def subjects(service: RunningService, address: str = ANNA) -> list[str]:
    client = imaplib.IMAP4("127.0.0.1", service.base + 143, timeout=30)
    try:
        client.login(address, PASSWORD)
        assert client.select("INBOX", readonly=True)[0] == "OK"
        _, found = client.uid("FETCH", "1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        return [part[1].decode().strip() for part in found if isinstance(part, tuple)]
    finally:
        client.logout()


def get(service: RunningService, offset: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", service.base + offset, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def cell_of(status: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in status["cells"] if one["name"] == name)


def test_status_names_everything(demo: RunningService) -> None:
    send(demo, "one")
    wait_until(lambda: subjects(demo) == ["Subject: one"])
    status = demo.command("status")
    doors = {one["door"]: one for one in status["listeners"]}
    assert doors["smtp"] == {
        "door": "smtp",
        "address": "127.0.0.1",
        "port": demo.base + 25,
        "tls": "starttls",
    }
    assert {door: one["port"] - demo.base for door, one in doors.items()} == {
        "smtp": 25,
        "lmtp": 24,
        "imap": 143,
        "imaps": 993,
        "http": 80,
        "accept-health": 1,
        "deliver-health": 11,
        "access-health": 31,
    }
    assert [(one["role"], one["state"]) for one in status["processes"]] == [
        ("accept", "ready"),
        ("deliver", "ready"),
        ("access", "ready"),
    ]
    assert [(one["name"], one["state"]) for one in status["cells"]] == [
        ("c1", "healthy"),
        ("c2", "healthy"),
        ("c3", "healthy"),
        ("c4", "healthy"),
    ]
    assert cell_of(status, CELL)["mailboxes"] > 0
    assert cell_of(status, CELL)["lag_messages"] == 0
    accepted = next(one for one in status["log"] if one["writer"] == "accept-0")
    assert accepted["last"] >= accepted["first"] == 1
    assert accepted["bytes"] > 0
    assert accepted["files"]
    assert status["directory"]["fresh"] is True
    assert status["problems"] == []


def test_health_and_metrics_of_each_role(demo: RunningService) -> None:
    send(demo, "counted")
    for offset, role in ((1, "accept"), (11, "deliver"), (31, "access")):
        code, body = get(demo, offset, "/healthz")
        assert (code, msgspec.json.decode(body)["role"]) == (200, role)
        code, body = get(demo, offset, "/metrics")
        assert code == 200
        families = list(text_string_to_metric_families(body.decode()))
        assert families
        assert all(one.name.startswith("staffetta_") for one in families)
    _, body = get(demo, 1, "/metrics")
    assert b'staffetta_messages_accepted_total{index="0",role="accept"} 1.0' in body


def test_a_second_start_keeps_the_data(tmp_path: Path) -> None:
    with running(tmp_path, "-m", "staffetta", "demo") as first:
        first.wait_ready()
        send(first, "kept")
        wait_until(lambda: subjects(first) == ["Subject: kept"])
        assert first.end() == 0
        words = first.said.read_text()
        for wanted in (ANNA, PASSWORD, f":{first.base + 25}", "cell break", "smtplib", "imaplib"):
            assert wanted in words
    with running(tmp_path, "-m", "staffetta", "demo", base=first.base) as second:
        second.wait_ready()
        assert subjects(second) == ["Subject: kept"]


def test_the_things_to_try_can_be_pasted(demo: RunningService) -> None:
    wait_until(lambda: "emergency" in demo.said.read_text())
    lines = [line.strip() for line in demo.said.read_text().splitlines() if "python3 -c" in line]
    assert len(lines) == 2
    for line in lines:
        assert os.waitstatus_to_exitcode(os.system(line)) == 0


def test_a_killed_role_is_back_and_nothing_is_lost(demo: RunningService) -> None:
    wanted = []
    for role in ("accept", "deliver", "access"):
        pid = demo.place(role)["pid"]
        os.kill(pid, signal.SIGKILL)
        send(demo, f"after {role}")
        wanted.append(f"Subject: after {role}")
        wait_until(lambda pid=pid, role=role: demo.place(role)["pid"] != pid)
    wait_until(lambda: subjects(demo) == wanted)


def test_a_hung_cell_is_told_and_delays_nobody(demo: RunningService) -> None:
    answer = demo.command("cell", "break", CELL, "--mode", "hang")
    assert answer["confirmed"] == ["deliver-0", "access-0"]
    assert answer["unconfirmed"] == []
    send(demo, "while it hangs")
    wait_until(lambda: cell_of(demo.command("status"), CELL)["state"] in ("suspect", "down"))
    status = demo.command("status")
    assert cell_of(status, CELL)["fault"] == "hang"
    assert cell_of(status, "c2")["state"] == "healthy"
    assert get(demo, 1, "/healthz")[0] == 200
    assert demo.command("cell", "mend", CELL)["unconfirmed"] == []
    wait_until(lambda: subjects(demo) == ["Subject: while it hangs"])
    wait_until(lambda: cell_of(demo.command("status"), CELL)["state"] == "healthy")


def test_a_hung_cell_does_not_delay_the_end_beyond_the_grace(tmp_path: Path) -> None:
    with running(tmp_path, "-m", "staffetta", "demo") as service:
        service.wait_ready()
        service.command("cell", "break", CELL, "--mode", "hang")
        send(service, "one")
        wait_until(lambda: cell_of(service.command("status"), CELL)["state"] != "healthy")
        begun_s = time.monotonic()
        assert service.end() == 0
        assert time.monotonic() - begun_s < 15


def test_orders_outlive_a_restart_of_a_role(demo: RunningService) -> None:
    demo.command("cell", "break", "c2", "--mode", "error")
    pid = demo.place("access")["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: demo.place("access")["pid"] != pid)
    demo.wait_ready()
    answer = demo.command("cell", "break", "c3", "--mode", "error")
    assert answer["confirmed"] == ["deliver-0", "access-0"]
    assert cell_of(demo.command("status"), "c2")["fault"] == "error"


def test_an_unknown_cell_is_refused(demo: RunningService) -> None:
    answer = demo.command("cell", "break", "c9", "--mode", "hang", code=1)
    assert answer["error"] == "there is no cell c9; there are: c1, c2, c3, c4"


def test_a_reload_brings_a_new_certificate(demo: RunningService) -> None:
    data = demo.data / "tls"
    old = (data / "certificate.pem").read_bytes()
    (data / "certificate.pem").unlink()
    ensure_certificate(load(None, demo.data, demo.base), "renewed.example", SystemClock())
    new = (data / "certificate.pem").read_bytes()
    assert new != old
    demo.process.send_signal(signal.SIGHUP)

    def shown() -> bytes:
        pem = ssl.get_server_certificate(("127.0.0.1", demo.base + 993), timeout=30)
        return pem.encode()

    wait_until(lambda: shown() == new)
    with smtplib.SMTP("127.0.0.1", demo.base + 25, timeout=30) as client:
        trusting = ssl.create_default_context(cafile=str(data / "certificate.pem"))
        client._host = "renewed.example"  # what the client expects to be shown
        assert client.starttls(context=trusting)[0] == 220


def test_the_parent_has_no_threads_that_a_fork_could_lose(demo: RunningService) -> None:
    assert len(list(Path(f"/proc/{demo.process.pid}/task").iterdir())) == 1


def test_a_role_that_cannot_start_is_told(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("in the place of a directory")
    with running(tmp_path, "-m", "staffetta", "serve") as service:
        wait_until(lambda: "accept-0 did not become ready" in service.said.read_text())
        (tmp_path / "log").unlink()
        service.wait_ready()


def test_one_role_alone(tmp_path: Path) -> None:
    with running(tmp_path, "-m", "staffetta", "serve", "--roles", "deliver") as service:
        service.wait_ready()
        status = service.command("status")
        assert [one["door"] for one in status["listeners"]] == ["deliver-health"]
        assert service.end() == 0
