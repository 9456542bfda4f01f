"""The IMAP part of the access role: listeners, sessions, the news from delivery."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from staffetta.app.config import Config
from staffetta.app.roles.contract import RoleContext
from staffetta.directory.replica import RecipientTable
from staffetta.doors.imap.connection import ImapConnection
from staffetta.doors.imap.hall import Hall
from staffetta.doors.imap.settings import ImapSettings
from staffetta.mailboxes.access import AccessSettings, CellAccesses
from staffetta.runtime.net import BoundSocket, Listening, open_servers
from staffetta.runtime.notify import SocketListener, SocketNotifier, listener_path
from staffetta.screening.sign_in import SignInDesk

DOORS = ("imap", "imaps")


class ImapPart:
    """The IMAP doors of one process. `cells` are shared with the process's other doors."""

    def __init__(
        self,
        context: RoleContext,
        table: RecipientTable,
        desk: SignInDesk,
        cells: CellAccesses,
    ) -> None:
        self._context = context
        self._servers: list[asyncio.Server] = []
        self._listener: SocketListener | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        run = context.config.data.run
        self._own_path = listener_path(run, context.index)
        self._notifier = SocketNotifier(run, context.clock, self._own_path)
        settings = imap_settings(context.config, context.host_name)
        self.hall = Hall(
            settings,
            context.clock,
            desk,
            lambda: table.catalogue,
            cells,
            self._notifier,
            context.logger,
            context.metrics,
            context.tls,
        )

    async def start(self) -> None:
        """Listen: for notifications first, so that no news is missed, then for clients."""
        loop = asyncio.get_running_loop()
        self._listener = SocketListener(self._own_path, loop, self.hall.hear)
        self._sweep()
        for bound in self._sockets():
            self._servers += await open_servers(
                [bound],
                lambda: ImapConnection(self.hall),
                self._context.tls,
                self.hall.settings.tls_handshake_s,
            )

    async def drain(self, deadline_s: float) -> bool:
        """Say BYE to everybody; False if somebody was still busy after that time."""
        for server in self._servers:
            server.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._listener is not None:
            self._listener.close()
        try:
            await self.hall.close(deadline_s)
        except TimeoutError:
            return False
        finally:
            self._notifier.close()
        return True

    def reload(self, config: Config) -> None:
        """Other limits, from now on."""
        self.hall.settings = imap_settings(config, self._context.host_name)

    def listeners(self) -> Sequence[Listening]:
        """Where it is reached."""
        return [bound.listening for bound in self._sockets()]

    def _sockets(self) -> list[BoundSocket]:
        return [bound for door in DOORS for bound in self._context.sockets.get(door, ())]

    def _sweep(self) -> None:
        self.hall.sweep()
        loop = asyncio.get_running_loop()
        self._sweeper = loop.call_later(self.hall.settings.sweep_s, self._sweep)


def imap_settings(config: Config, host_name: str) -> ImapSettings:
    """The door's limits and times, from the configuration."""
    limits, timeouts = config.imap.limits, config.imap.timeouts
    return ImapSettings(
        host_name=host_name,
        connections_max=limits.connections_max,
        connections_per_address_max=limits.connections_per_address_max,
        address_limit_exempt=limits.address_limit_exempt,
        sessions_per_mailbox_max=limits.sessions_per_mailbox_max,
        append_bytes_max=limits.append_bytes_max,
        sign_in_failures_max=limits.sign_in_failures_max,
        tls_handshake_s=timeouts.tls_handshake_s,
        signed_out_s=timeouts.signed_out_s,
        signed_in_s=timeouts.signed_in_s,
        write_s=timeouts.write_s,
    )


def access_settings(config: Config) -> AccessSettings:
    """Deadlines and breakers of the cells, from the configuration."""
    access = config.access
    return AccessSettings(
        deadline_s=access.deadline_s,
        threads_max=access.threads_per_cell,
        waiting_max=access.waiting_per_cell_max,
        probe_deadline_s=access.deadline_s,
        probe_interval_s=access.breaker_probe_s,
    )
