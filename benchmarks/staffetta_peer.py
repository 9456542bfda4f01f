"""Staffetta itself as a peer among peers: started by its command line, like the others.

All that the benchmarks know about the product's commands stands here.
"""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path

from benchmarks.peers.port import Door
from benchmarks.peers.processes import Workplace

PROGRAM = Path(sys.executable).parent / "staffetta"
PORTS = 1000
PASSWORD = "pass"
COMMAND_TIMEOUT_S = 600
DRAIN_TIMEOUT_S = 240.0
DRAIN_POLL_S = 0.1


class Roles(Enum):
    """Which of its processes run."""

    ACCEPT = ("accept",)
    DELIVER = ("deliver",)
    ALL = ("accept", "deliver", "access")

    @property
    def label(self) -> str:
        """What tables call Staffetta with these roles."""
        return f"staffetta ({'all' if self is Roles.ALL else self.value[0]})"


class Staffetta:
    """One instance of the service with a data directory of its own."""

    password = PASSWORD

    def __init__(self, workplace: Workplace, users: list[str], roles: Roles) -> None:
        self.name = roles.label
        self.roles = roles
        raise NotImplementedError

    smtp: Door
    imap: Door
    imaps: Door

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def list_roots(self) -> list[int]:
        return []

    def describe(self) -> dict[str, str]:
        return {}

    def await_drained(self) -> None: ...
