"""``smtp-sink`` of Postfix: speaks SMTP, answers ``250`` and stores nothing at all."""

from __future__ import annotations

from benchmarks.peers.port import Door
from benchmarks.peers.processes import Daemon, Workplace, await_door

BACKLOG = 1024


class Sink:
    """The ceiling for any server under the same generator: no parsing, no disk, C, one process."""

    name = "smtp-sink"

    def __init__(self, workplace: Workplace) -> None:
        self.smtp: Door = workplace.find_door()
        self._daemon = Daemon(self.name, workplace.directory / "smtp-sink.log")

    def start(self) -> None:
        """Start it as the unprivileged user of Postfix."""
        self._daemon.start(["smtp-sink", "-u", "postfix", str(self.smtp), str(BACKLOG)])
        await_door(self.smtp, self.name)

    def stop(self) -> None:
        """Stop it."""
        self._daemon.stop()

    def list_roots(self) -> list[int]:
        """Its process."""
        return self._daemon.list_roots()

    def describe(self) -> dict[str, str]:
        """Its few settings."""
        return {"stores": "nothing", "syncs": "never", "backlog": str(BACKLOG)}
