"""A service, or a part of one, in processes of its own, for the tests in this folder."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from staffetta.app.config import PORT_OFFSETS, PROCESSES_MAX
from staffetta.app.control import SUPERVISOR_SOCKET, NoAnswer, ask

READY_S = 60.0
END_S = 30.0
_BASES = range(33_000, 59_000, 1_100)


def free_port_base() -> int:
    """A base above which all doors' ports are free now."""
    first = os.getpid() % len(_BASES)
    for base in (*_BASES[first:], *_BASES[:first]):
        with contextlib.suppress(OSError):
            for door, offset in PORT_OFFSETS.items():
                for more in range(PROCESSES_MAX if door.endswith("-health") else 1):
                    with socket.socket() as probe:
                        probe.bind(("127.0.0.1", base + offset + more))
            return base
    raise AssertionError("no free ports")


def wait_until(condition: Callable[[], Any], timeout_s: float = READY_S) -> Any:
    """What the condition says once it says yes; fails after that time."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline_s, f"not within {timeout_s} s: {condition}"
        time.sleep(0.01)


@dataclass
class RunningService:
    """`process` is the parent; everything is in `data`."""

    data: Path
    base: int
    process: subprocess.Popen[bytes]
    said: Path

    def parent_status(self) -> dict[str, Any]:
        return ask(self.data / "run" / SUPERVISOR_SOCKET, {"do": "status"}, 10.0)

    def place(self, role: str, index: int = 0) -> dict[str, Any]:
        found = self.parent_status()["processes"]
        return next(one for one in found if (one["role"], one["index"]) == (role, index))

    def wait_ready(self) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, self.said.read_text()
            try:
                found = self.parent_status()["processes"]
            except NoAnswer:
                return False
            return all(one["state"] == "ready" for one in found)

        wait_until(ready)

    def end(self) -> int:
        """Stop it as an operator would; returns the exit code."""
        self.process.terminate()
        return self.process.wait(END_S)

    def command(self, *words: str, code: int = 0) -> Any:
        """Run `staffetta` on this service; returns its JSON answer."""
        ended = subprocess.run(
            [sys.executable, "-m", "staffetta", *words, "--json", "--data", str(self.data)],
            capture_output=True,
            timeout=READY_S,
            check=False,
        )
        assert ended.returncode == code, ended
        return msgspec.json.decode(ended.stdout)


@contextlib.contextmanager
def running(data: Path, *words: str, base: int | None = None) -> Iterator[RunningService]:
    """`python WORDS --data DIR --port-base N` until the block ends; killed if it must be."""
    base = base or free_port_base()
    data.mkdir(parents=True, exist_ok=True)
    said = data / "said.txt"
    with said.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *words, "--data", str(data), "--port-base", str(base)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    service = RunningService(data, base, process, said)
    try:
        yield service
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(END_S)
