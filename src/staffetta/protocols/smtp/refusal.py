"""The exception by which a parser says no."""

from __future__ import annotations

from staffetta.protocols.smtp.events import RefusalReason
from staffetta.protocols.smtp.paths import Path
from staffetta.protocols.smtp.replies import Reply


class CommandRefusal(Exception):
    """A command that cannot be obeyed, with what to say about it. Never leaves the machine.

    `path` is the address in question, if it could be read.
    """

    def __init__(self, reply: Reply, reason: RefusalReason, path: Path | None = None) -> None:
        super().__init__(reply)
        self.reply = reply
        self.reason = reason
        self.path = path
