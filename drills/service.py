"""A Staffetta of its own for one drill: started, asked, broken and stopped by the drill."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from staffetta.app.config_file import load
from staffetta.app.status import ask_parent

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
PASSWORD = "drill-password"


class CommandFailed(Exception):
    """A command of the command line ended with another status than 0; the text says why."""


@dataclass(frozen=True, slots=True)
class Account:
    """A mailbox of the drill."""

    address: str
    cell: str
    brand: str


@dataclass(slots=True)
class DrillService:
    """One running service on loopback. Use as a context manager."""

    data: Path
    port_base: int
    settings: str = ""  # TOML, put into the configuration file
    environment: dict[str, str] = field(default_factory=dict)
    prefix: Sequence[str] = ()  # a command to run the service under
    roles: str = ""  # all, unless some are named
    ready_timeout_s: float = READY_TIMEOUT_S
    _process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> DrillService:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def smtp_port(self) -> int:
        """Where mail comes in."""
        return self.port_base + 25

    @property
    def imap_port(self) -> int:
        """Where mail is read."""
        return self.port_base + 143

    @property
    def http_port(self) -> int:
        """The emergency inbox."""
        return self.port_base + 80

    def set_up(self) -> None:
        """An empty data directory with the demo's brands and cells, without its people."""
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(parents=True)
        config = f'data_directory = "{self.data.absolute()}"\nport_base = {self.port_base}\n'
        (self.data / "drill.toml").write_text(config + self.settings)
        self.run("furnish")

    def add_accounts(self, count: int) -> list[Account]:
        """Make mailboxes, both brands in turn, spread over the cells."""
        domains = ("libero.example", "virgilio.example")
        lines = ["address,password,plan"]
        lines += [f"d{n:05d}@{domains[n % 2]},{PASSWORD},free" for n in range(count)]
        file = self.data / "accounts.csv"
        file.write_text("\n".join(lines) + "\n")
        self.run("account", "import", str(file))
        found = self.ask("account", "list")
        rows = found
        return [
            Account(row["address"], row["cell"], row["brand"])
            for row in rows
            if str(row["address"]).startswith("d")
        ]

    def start(self) -> None:
        """Start it and wait until all its processes are ready."""
        lines = (self.data / "service.log").open("ab")
        self._process = subprocess.Popen(
            [*self.prefix, *_command("serve", self.data), *_roles(self.roles)],
            stdout=lines,
            stderr=lines,
            env={**os.environ, **self.environment},
            start_new_session=True,
        )
        lines.close()
        self.wait_ready()

    def wait_ready(self) -> None:
        """Until every process says `ready`."""
        until_s = time.monotonic() + self.ready_timeout_s
        while time.monotonic() < until_s:
            try:
                status = self.status()
            except CommandFailed:
                time.sleep(0.1)
                continue
            if status["processes"] and all(p["state"] == "ready" for p in status["processes"]):
                return
            time.sleep(0.1)
        raise TimeoutError(
            f"not ready after {self.ready_timeout_s:g} s: see {self.data}/service.log"
        )

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        # The whole group: a tracer that is told to end only lets go of what it traces.
        os.killpg(process.pid, signal.SIGTERM)
        try:
            code = process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
        self._await_gone()
        return code

    def _await_gone(self) -> None:
        until_s = time.monotonic() + STOP_TIMEOUT_S
        while time.monotonic() < until_s:
            try:
                self.status()
            except CommandFailed:
                return
            time.sleep(0.1)

    def run(self, *arguments: str) -> str:
        """One command of the command line; its output."""
        done = subprocess.run(
            [*_command(arguments[0], self.data), *arguments[1:]],
            check=False,
            capture_output=True,
            text=True,
            timeout=600,
        )
        if done.returncode:
            raise CommandFailed(f"{' '.join(arguments)}: {done.stderr.strip() or done.stdout}")
        return done.stdout

    def ask(self, *arguments: str) -> Any:
        """One command's answer as JSON."""
        return json.loads(self.run(*arguments, "--json"))

    def status(self) -> Any:
        """`staffetta status --json`."""
        return self.ask("status")

    def pids(self, role: str) -> list[int]:
        """The processes of a role, as they are now; asked of the parent itself, for speed."""
        config = load(self.data / "drill.toml", None, None)
        _, processes = ask_parent(config)
        return [process.pid for process in processes if process.role == role and process.pid]

    def break_cell(self, cell: str, mode: str) -> None:
        """`staffetta cell break`."""
        self.run("cell", "break", cell, "--mode", mode)

    def mend_cell(self, cell: str) -> None:
        """`staffetta cell mend`."""
        self.run("cell", "mend", cell)

    def wait_delivered(self, timeout_s: float) -> float:
        """Until no cell has anything waiting; returns how long that took."""
        began_s = time.monotonic()
        while time.monotonic() - began_s < timeout_s:
            cells = self.status()["cells"]
            if all(cell["lag_messages"] == 0 for cell in cells):
                return time.monotonic() - began_s
            time.sleep(0.2)
        raise TimeoutError(f"mail still waits after {timeout_s:g} s: {cells}")


def _roles(roles: str) -> list[str]:
    return ["--roles", roles] if roles else []


def _command(name: str, data: Path) -> list[str]:
    if name == "furnish":
        return [sys.executable, "-m", "drills.furnish", str(data)]
    return [sys.executable, "-m", "staffetta", "--config", str(data / "drill.toml"), name]
