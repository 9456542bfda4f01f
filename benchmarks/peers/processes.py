"""Starting, awaiting and stopping servers by process id only."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from benchmarks.machine import descend, read_filesystem
from benchmarks.peers.port import Door, PeerFault

LOOPBACK = "127.0.0.1"
READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0
POLL_INTERVAL_S = 0.02
REMOVE_TRIES = 10
REMOVE_PAUSE_S = 0.5
PORT_MIN = 21_000
PORT_MAX = 32_000
PORTS_SPREAD = 6_000
MEMORY_FILESYSTEMS = frozenset({"tmpfs", "ramfs"})


class Workplace:
    """A fresh directory on a real disk, and ports that are free; one for each use of the tool."""

    def __init__(self, parent: Path | None) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="staffetta-bench-", dir=parent))
        kind = read_filesystem(self.directory)
        if kind in MEMORY_FILESYSTEMS:
            self.remove()
            raise PeerFault(
                f"{self.directory.parent} is on {kind}, where a sync costs nothing; "
                "name a directory on a disk with --work"
            )
        # The servers' own users must be able to traverse it.
        self.directory.chmod(0o755)
        self._next_port = PORT_MIN + os.getpid() % PORTS_SPREAD

    def make_directory(self, name: str) -> Path:
        """An empty directory of that name."""
        made = self.directory / name
        made.mkdir(mode=0o755)
        return made

    def find_door(self, ports: int = 1) -> Door:
        """The first of ``ports`` consecutive free ports of loopback, given to nobody else here."""
        while self._next_port + ports < PORT_MAX:
            first = self._next_port
            self._next_port += ports
            if all(_is_free(port) for port in range(first, first + ports)):
                return Door(LOOPBACK, first)
        raise PeerFault(f"no free ports below {PORT_MAX} on {LOOPBACK}")

    def remove(self) -> None:
        """Remove the directory and all in it, whatever a dying process still writes there."""
        for _ in range(REMOVE_TRIES):
            shutil.rmtree(self.directory, ignore_errors=True)
            if not self.directory.exists():
                return
            time.sleep(REMOVE_PAUSE_S)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def await_door(door: Door, what: str, timeout_s: float = READY_TIMEOUT_S) -> None:
    """Return when ``door`` accepts a connection and greets. Raises :class:`PeerFault`."""
    limit = time.monotonic() + timeout_s
    while time.monotonic() < limit:
        try:
            with socket.create_connection((door.host, door.port), timeout=2) as probe:
                if probe.recv(512):
                    return
        except OSError:
            pass
        time.sleep(POLL_INTERVAL_S)
    raise PeerFault(f"{what} did not greet on {door} within {timeout_s:.0f} s")


class Daemon:
    """One process started in the foreground, with its output in a file."""

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, argv: list[str], env: Mapping[str, str] | None = None) -> None:
        """Start ``argv`` in a session of its own."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(env) if env is not None else None,
                start_new_session=True,
            )

    def list_roots(self) -> list[int]:
        """Its process id, if it runs."""
        return [self._process.pid] if self._process and self._process.poll() is None else []

    def explain(self) -> str:
        """The end of what it printed."""
        return self._log.read_text(errors="replace")[-1500:] if self._log.exists() else ""

    def stop(self) -> None:
        """SIGTERM, wait, and SIGKILL to whatever of it is left."""
        if self._process is None:
            return
        pids = descend([self._process.pid])
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        end_processes(pids)
        self._process = None


def end_processes(pids: Iterable[int], grace_s: float = 2.0) -> None:
    """Wait shortly for the given processes to end, kill those that do not, and see them gone."""
    left = _await_gone(set(pids), grace_s)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _await_gone(left, STOP_TIMEOUT_S)


def _await_gone(pids: set[int], timeout_s: float) -> set[int]:
    limit = time.monotonic() + timeout_s
    left = {pid for pid in pids if _is_alive(pid)}
    while left and time.monotonic() < limit:
        time.sleep(POLL_INTERVAL_S)
        left = {pid for pid in left if _is_alive(pid)}
    return left


def _is_alive(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text[text.rindex(")") + 2] != "Z"
