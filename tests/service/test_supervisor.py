"""The parent: it replaces what dies, ends what must end, and holds the ports meanwhile."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .running import READY_S, RunningService, free_port_base, running, wait_until

pytestmark = pytest.mark.service
PARENT = str(Path(__file__).parent / "parent_alone.py")
GRACE_S = 0.5


def behave(data: Path, role: str, behaviour: str) -> None:
    data.mkdir(parents=True, exist_ok=True)
    (data / f"BEHAVIOUR.{role}").write_text(behaviour)


def configure(data: Path, text: str) -> None:
    data.mkdir(parents=True, exist_ok=True)
    (data / "staffetta.toml").write_text(text)


def wait_replaced(service: RunningService, role: str, pid: int) -> float:
    """Seconds until another process is ready in that place."""
    begun_s = time.monotonic()

    def replaced() -> bool:
        place = service.place(role)
        return place["state"] == "ready" and place["pid"] != pid

    wait_until(replaced)
    return time.monotonic() - begun_s


def serve(data: Path, base: int) -> subprocess.CompletedProcess[str]:
    """`staffetta serve`, which is expected to end soon."""
    words = ("serve", "--data", str(data), "--port-base", str(base))
    return subprocess.run(
        [sys.executable, "-m", "staffetta", *words],
        capture_output=True,
        text=True,
        timeout=READY_S,
        check=False,
    )


def alive(pid: int) -> bool:
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_a_killed_process_is_replaced_at_once_and_clients_wait_meanwhile(tmp_path: Path) -> None:
    with running(tmp_path, PARENT) as service:
        service.wait_ready()
        for _ in range(3):
            pid = service.place("accept")["pid"]
            os.kill(pid, signal.SIGKILL)
            with socket.create_connection(("127.0.0.1", service.base + 25), timeout=5):
                assert wait_replaced(service, "accept", pid) < 2.0
        assert service.place("accept")["restarts"] == 3
        assert service.place("access")["restarts"] == 0
        assert service.end() == 0


def test_the_end_of_the_parent_is_the_end_of_all(tmp_path: Path) -> None:
    with running(tmp_path, PARENT) as service:
        service.wait_ready()
        pids = [one["pid"] for one in service.parent_status()["processes"]]
        service.process.kill()
        service.process.wait()
        wait_until(lambda: not any(alive(pid) for pid in pids))
    with running(tmp_path, PARENT, base=service.base) as again:
        again.wait_ready()


def test_whoever_dies_before_being_ready_is_given_more_and_more_time(tmp_path: Path) -> None:
    behave(tmp_path, "deliver", "stillborn")
    with running(tmp_path, PARENT) as service:
        wait_until(lambda: "exit code 9" in service.said.read_text())
        wait_until(lambda: service.place("deliver")["restarts"] >= 3)
        assert service.place("accept")["state"] == "ready"
        delays = [
            line.split('"again_in_s":')[1].split("}")[0].split(",")[0]
            for line in service.said.read_text().splitlines()
            if "again_in_s" in line
        ]
        assert [float(delay) for delay in delays[:3]] == [0.25, 0.5, 1.0]
        behave(tmp_path, "deliver", "")
        service.wait_ready()
        assert service.end() == 0


def test_last_words_are_kept(tmp_path: Path) -> None:
    behave(tmp_path, "accept", "failing")
    with running(tmp_path, PARENT) as service:
        wait_until(lambda: "the log is broken" in service.said.read_text())
        wait_until(lambda: service.place("accept")["restarts"] >= 2)


def test_who_does_not_end_in_time_is_killed(tmp_path: Path) -> None:
    behave(tmp_path, "access", "deaf")
    configure(tmp_path, f"[roles]\ngrace_s = {GRACE_S}\n")
    with running(tmp_path, PARENT) as service:
        service.wait_ready()
        pid = service.place("access")["pid"]
        begun_s = time.monotonic()
        assert service.end() == 0
        assert GRACE_S <= time.monotonic() - begun_s < GRACE_S + 5
        assert not alive(pid)


def test_stopping_closes_the_ports_first(tmp_path: Path) -> None:
    behave(tmp_path, "accept", "deaf")
    configure(tmp_path, "[roles]\ngrace_s = 20\n")
    with running(tmp_path, PARENT) as service:
        service.wait_ready()
        place = service.place("accept")
        service.process.terminate()
        wait_until(lambda: service.place("accept")["state"] == "draining")
        os.kill(place["pid"], signal.SIGKILL)
        assert service.process.wait(10) == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", service.base + 25), timeout=5)


def test_a_taken_port_stops_everything_before_it_begins(tmp_path: Path) -> None:
    base = free_port_base()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", base + 993))
        taken.listen()
        ended = serve(tmp_path, base)
    assert ended.returncode == 1
    assert f"port {base + 993} of 127.0.0.1, wanted for imaps, is taken" in ended.stderr
    assert "--port-base" in ended.stderr
    assert "starting" not in ended.stderr
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_data_directory_has_one_service(tmp_path: Path) -> None:
    with running(tmp_path, PARENT) as service:
        service.wait_ready()
        ended = serve(tmp_path, service.base + 1_100)
        assert ended.returncode == 1
        assert f"in use by another service (process {service.process.pid})" in ended.stderr


def test_several_processes_of_a_role_share_its_ports(tmp_path: Path) -> None:
    configure(tmp_path, "[roles]\naccept_processes = 2\n")
    with running(tmp_path, PARENT) as service:
        service.wait_ready()
        status = service.parent_status()
        names = [(one["role"], one["index"]) for one in status["processes"]]
        assert names == [("accept", 0), ("accept", 1), ("deliver", 0), ("access", 0)]
        doors = [(one["door"], one["port"] - service.base) for one in status["listeners"]]
        assert doors.count(("smtp", 25)) == 1
        assert ("accept-health", 1) in doors
        assert ("accept-health", 2) in doors
        assert service.end() == 0


def test_a_reload_reaches_every_process_and_a_bad_file_none(tmp_path: Path) -> None:
    configure(tmp_path, "[smtp.limits]\nrecipients_max = 200\n")
    with running(tmp_path, PARENT) as service:
        service.wait_ready()
        configure(tmp_path, "[smtp.limits]\nrecipients_max = 2\n")
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "reload-refused" in service.said.read_text())
        assert '"recipients_max":200' in (tmp_path / "run" / "config.json").read_text()
        configure(tmp_path, "[smtp.limits]\nrecipients_max = 300\n")
        assert service.command("reload") == {"done": True}
        assert '"recipients_max":300' in (tmp_path / "run" / "config.json").read_text()
        assert service.end() == 0


def test_garbage_on_the_control_socket_is_nobodys_problem(tmp_path: Path) -> None:
    with running(tmp_path, PARENT) as service:
        service.wait_ready()
        with socket.socket(socket.AF_UNIX) as endpoint:
            endpoint.settimeout(10)
            endpoint.connect(str(tmp_path / "run" / "supervisor.sock"))
            endpoint.sendall(b"\xff\x00garbage\n")
            assert endpoint.recv(100) == b""
        assert service.place("accept")["state"] == "ready"
        assert service.end() == 0
