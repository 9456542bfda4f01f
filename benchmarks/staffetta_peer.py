"""Staffetta itself as a peer among peers: started by its command line, like the others.

All that the benchmarks know about the product's commands, settings and ports stands here.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher

from benchmarks.peers.port import Door, PeerFault
from benchmarks.peers.postfix import DOMAIN
from benchmarks.peers.processes import LOOPBACK, Daemon, Workplace, await_door
from staffetta.app.control import ask

PROGRAM = Path(sys.executable).parent / "staffetta"
PORTS = 1000
SMTP_OFFSET, IMAP_OFFSET, IMAPS_OFFSET = 25, 143, 993
PASSWORD = "pass"
CELLS = 4
MAILBOXES_PER_CELL_MAX = 200_000
COMMAND_TIMEOUT_S = 900
READY_TIMEOUT_S = 60.0
DRAIN_TIMEOUT_S = 240.0
DRAIN_POLL_S = 0.1
CONTROL_TIMEOUT_S = 10.0
WATCH_POLL_S = 0.05
# A first, at least two steps, and the end.
COUNTS_MIN = 4

# Sign-in is never measured, and Dovecot's passwords are plain: so ours cost next to nothing.
CONFIGURATION = """\
data_directory = "{root}/data"
port_base = {base}
host_name = "mx.bench.example"

[argon2]
memory_kib = 8
rounds = 1

[imap.limits]
connections_max = 20000
connections_per_address_max = 20000
sessions_per_mailbox_max = 20000

[telemetry]
file = "{root}/staffetta.log"
"""


class Roles(Enum):
    """Which of its processes run."""

    ACCEPT = ("accept",)
    DELIVER = ("deliver",)
    ALL = ("accept", "deliver", "access")

    @property
    def label(self) -> str:
        """What tables call Staffetta with these roles."""
        return f"staffetta ({'all' if self is Roles.ALL else self.value[0]})"


@dataclass(frozen=True, slots=True)
class Drained:
    """How fast what had waited was delivered, and how long it took in all."""

    rate: float
    seconds: float


class Staffetta:
    """One instance of the service with a data directory and ports of its own."""

    password = PASSWORD

    def __init__(
        self, workplace: Workplace, users: list[str], roles: Roles, name: str | None = None
    ) -> None:
        self.name = name or roles.label
        self.roles = roles
        base = workplace.find_door(PORTS).port
        self.smtp = Door(LOOPBACK, base + SMTP_OFFSET)
        self.imap = Door(LOOPBACK, base + IMAP_OFFSET)
        self.imaps = Door(LOOPBACK, base + IMAPS_OFFSET)
        self._root = workplace.make_directory(f"staffetta-{base}")
        self._config = self._root / "staffetta.toml"
        self._config.write_text(CONFIGURATION.format(root=self._root, base=base))
        self._daemon = Daemon(self.name, self._root / "start.log")
        self._furnish(users)

    def start(self) -> None:
        """Start the chosen roles and wait until all say that they are ready."""
        roles = ",".join(self.roles.value)
        self._daemon.start([str(PROGRAM), "serve", "--config", str(self._config), "--roles", roles])
        try:
            self._await_ready()
            if "accept" in self.roles.value:
                await_door(self.smtp, self.name)
            if "access" in self.roles.value:
                await_door(self.imap, self.name)
        except PeerFault as fault:
            explanation = self._daemon.explain()
            self.stop()
            raise PeerFault(f"{fault}: {explanation}") from fault

    def stop(self) -> None:
        """Stop it."""
        self._daemon.stop()

    def restart(self, roles: Roles) -> None:
        """Same data, other roles."""
        self.stop()
        self.roles = roles
        self.start()

    def list_roots(self) -> list[int]:
        """The parent of its processes."""
        return self._daemon.list_roots()

    def describe(self) -> dict[str, str]:
        """The settings that matter; all else is as delivered."""
        return {
            "roles": ", ".join(self.roles.value) + " (one process each, and their parent)",
            "log": "SQLite WAL, synchronous=FULL, group commit: 250 follows the sync",
            "mailboxes": f"one SQLite file each, in {CELLS} cells",
            "argon2": "8 KiB, 1 round (signing in is not measured)",
            "telemetry": "info, to a file",
        }

    def count_waiting(self) -> int:
        """Messages accepted and neither delivered nor held, in all cells."""
        lags = [cell["lag_messages"] for cell in self._read_status()["cells"]]
        if None in lags:
            raise PeerFault(f"{self.name}: the lag of a cell is not known: {lags}")
        return sum(lags)

    def await_drained(self) -> None:
        """Return when all accepted mail is delivered; at once where nothing delivers."""
        if "deliver" not in self.roles.value:
            return
        limit = time.monotonic() + DRAIN_TIMEOUT_S
        while waiting := self.count_waiting():
            if time.monotonic() > limit:
                raise PeerFault(f"{self.name}: {waiting} messages still wait for delivery")
            time.sleep(DRAIN_POLL_S)

    def watch_drain(self, messages: int) -> Drained:
        """Watch the delivering process until it has delivered ``messages`` since its start.

        The process counts its deliveries about twice a second. So the rate is that between its
        first and its last count before the end: start and tail are not in it. Where the end comes
        too soon for that, it is the rate from when watching began.
        """
        socket = self._root / "data" / "run" / "deliver-0.sock"
        started = time.perf_counter()
        counts: list[tuple[float, int]] = []
        while not counts or counts[-1][1] < messages:
            numbers = ask(socket, {"do": "status"}, CONTROL_TIMEOUT_S)["numbers"]
            now_s, delivered = time.perf_counter() - started, int(numbers["delivered"])
            if delivered and (not counts or delivered > counts[-1][1]):
                counts.append((now_s, delivered))
            if now_s > DRAIN_TIMEOUT_S:
                raise PeerFault(f"{self.name}: {delivered} of {messages} messages delivered")
            time.sleep(WATCH_POLL_S)
        end_s = counts[-1][0]
        if len(counts) < COUNTS_MIN:
            return Drained(messages / end_s, end_s)
        (first_s, first), (last_s, last) = counts[0], counts[-2]
        return Drained((last - first) / (last_s - first_s), end_s)

    def _furnish(self, users: list[str]) -> None:
        self._ask("brand", "add", "bench", "Bench")
        self._ask("plan", "add", "bench", "free", "Free", "--quota", "100G")
        self._ask("domain", "add", DOMAIN, "bench")
        for number in range(1, CELLS + 1):
            limit = str(MAILBOXES_PER_CELL_MAX)
            self._ask("cell", "add", f"c{number}", "--mailboxes-max", limit)
        table = self._root / "accounts.csv"
        hashed = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
        rows = (f'{user},"{hashed}",free\n' for user in users)
        table.write_text("address,password_hash,plan\n" + "".join(rows))
        self._ask("account", "import", str(table))

    def _await_ready(self) -> None:
        limit = time.monotonic() + READY_TIMEOUT_S
        states: list[str] = []
        while time.monotonic() < limit and self.list_roots():
            try:
                states = [process["state"] for process in self._read_status()["processes"]]
            except PeerFault:
                states = []
            if states and all(state == "ready" for state in states):
                return
            time.sleep(DRAIN_POLL_S)
        raise PeerFault(f"{self.name} is not ready: {states}")

    def _read_status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._ask("status", "--json"))
        return found

    def _ask(self, *arguments: str) -> str:
        done = subprocess.run(
            [str(PROGRAM), *arguments, "--config", str(self._config)],
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            text = (done.stderr or done.stdout).strip()[-800:]
            raise PeerFault(f"staffetta {' '.join(arguments[:2])}: {text}")
        return done.stdout
