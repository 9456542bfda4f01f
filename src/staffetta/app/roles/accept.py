"""The accept role. SMTP and LMTP in: journey/accept into the log."""

from __future__ import annotations

from collections.abc import Sequence

from staffetta.app.config import Config
from staffetta.app.roles.contract import Role, RoleContext, RoleState
from staffetta.runtime.net import Listening


def build(context: RoleContext) -> Role:
    """The role of this process."""
    return AcceptRole(context)


class AcceptRole:
    """Does nothing yet: its doors are not open, and it says so."""

    def __init__(self, context: RoleContext) -> None:
        self._context = context

    async def start(self) -> None:
        return

    async def drain(self, deadline_s: float) -> None:
        return

    def reload(self, config: Config) -> None:
        return

    def state(self) -> RoleState:
        return RoleState(detail="has no work yet")

    def listeners(self) -> Sequence[Listening]:
        return ()
