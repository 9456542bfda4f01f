"""From a frame to a command."""

from __future__ import annotations

from staffetta.protocols.imap.commands import BadCommand, Command
from staffetta.protocols.imap.frames import CommandFrame


def parse_command(frame: CommandFrame) -> Command | BadCommand:
    """The command in `frame`; whatever the octets, nothing is raised."""
    raise NotImplementedError
