"""The SMTP and LMTP doors of one accepting process: admission, time limits, the log's health."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from staffetta.directory.recipients import Recipients
from staffetta.doors.smtp.connection import SmtpConnection
from staffetta.doors.smtp.decisions import LOG_BROKEN, LOG_FULL
from staffetta.doors.smtp.spooling import Spooling
from staffetta.journey.accept import Acceptance, Transaction
from staffetta.journey.refusals import Refusals
from staffetta.log.commit import CommitResult, GroupCommit
from staffetta.log.port import LogWriter
from staffetta.protocols.smtp.events import Phase
from staffetta.protocols.smtp.replies import Reply, too_many_connections_reply
from staffetta.protocols.smtp.settings import SmtpSettings
from staffetta.runtime.clock import Clock
from staffetta.runtime.tasks import Worker
from staffetta.runtime.telemetry import Tally

TICK_S = 1.0

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """Limits and times of the doors; `smtp` and `lmtp` are what their machines are given."""

    smtp: SmtpSettings
    lmtp: SmtpSettings
    connections_max: int = 2_000
    connections_per_address_max: int = 50
    exempt: tuple[Network, ...] = ()
    hops_max: int = 100
    command_s: float = 300.0
    data_block_s: float = 180.0
    data_total_s: float = 1_800.0
    tls_handshake_s: float = 30.0


@dataclass(frozen=True, slots=True)
class DoorCounts:
    """Since the process began. Recipients: offered = accepted + refused + abandoned + open."""

    offered: Tally = field(default_factory=Tally)
    accepted: Tally = field(default_factory=Tally)
    refused: Tally = field(default_factory=Tally)
    abandoned: Tally = field(default_factory=Tally)
    messages: Tally = field(default_factory=Tally)
    repeated: Tally = field(default_factory=Tally)
    connections: Tally = field(default_factory=Tally)


class SmtpDoor:
    """All connections of one accepting process. Lives on its event loop."""

    def __init__(
        self,
        settings: DoorSettings,
        recipients: Recipients,
        acceptance: Acceptance,
        refusals: Refusals,
        commit: GroupCommit,
        writer: LogWriter,
        spool_worker: Worker,
        clock: Clock,
        tls: ssl.SSLContext,
        counts: DoorCounts,
        alarm: Callable[[str, str], None] = lambda event, detail: None,
    ) -> None:
        """`alarm(event, detail)` is told when the log stops or begins to take mail."""
        self.recipients = recipients
        self.acceptance = acceptance
        self.refusals = refusals
        self.clock = clock
        self.tls = tls
        self.counts = counts
        self._settings = settings
        self._commit = commit
        self._writer = writer
        self._spool_worker = spool_worker
        self._alarm = alarm
        self._connections: dict[SmtpConnection, None] = {}  # in the order of their coming
        self._by_address: Counter[str] = Counter()
        self._full = False
        self._broken_told = False
        self._draining = False
        self._ticker: asyncio.TimerHandle | None = None

    # --- what connections ask --------------------------------------------------------------------

    @property
    def hops_max(self) -> int:
        """Received fields beyond which a message loops."""
        return self._settings.hops_max

    @property
    def handshake_timeout_s(self) -> float:
        """For STARTTLS to be completed."""
        return self._settings.tls_handshake_s

    def machine_settings(self, *, lmtp: bool) -> SmtpSettings:
        """What a new connection's machine is given."""
        return self._settings.lmtp if lmtp else self._settings.smtp

    def admit(self, connection: SmtpConnection) -> tuple[Reply, str] | None:
        """Count a connection in; what to say to it when there are too many."""
        self._connections[connection] = None
        self._by_address[connection.peer] += 1
        self.counts.connections.value += 1
        if self._ticker is None:
            self._tick()
        settings = self._settings
        many = self._by_address[connection.peer] > settings.connections_per_address_max
        if len(self._connections) > settings.connections_max or (
            many and not self._is_exempt(connection.peer)
        ):
            return too_many_connections_reply(settings.smtp.hostname), "too-many-connections"
        return None

    def leave(self, connection: SmtpConnection) -> None:
        """A connection is over."""
        self._connections.pop(connection, None)
        self._by_address[connection.peer] -= 1
        if not self._by_address[connection.peer]:
            del self._by_address[connection.peer]

    def log_refusal(self) -> Reply | None:
        """Why no message can be taken now; None when one can."""
        if self._commit.broken:
            return LOG_BROKEN
        if self._full:
            return LOG_FULL
        return None

    def note_log(self, result: CommitResult) -> None:
        """A message could not be kept."""
        if result is CommitResult.FULL:
            self.set_full(full=True, detail="the log's disk has no room")
        elif result is CommitResult.BROKEN:
            self._tell_broken()

    def _tell_broken(self) -> None:
        if not self._broken_told:
            self._broken_told = True
            self._alarm("log-broken", self._commit.broken)

    def begin_spooling(self, transaction: Transaction, caught_up: Callable[[], None]) -> Spooling:
        """A message has grown too large for memory."""
        return Spooling(self._writer, self._spool_worker, self.acceptance, transaction, caught_up)

    # --- what the role does ----------------------------------------------------------------------

    def protocol(self, door: str) -> Callable[[], SmtpConnection]:
        """A factory of connections for the listeners of `smtp` or `lmtp`."""
        return lambda: SmtpConnection(self, lmtp=door == "lmtp")

    def reload(self, settings: DoorSettings) -> None:
        """New limits and times: for new connections, and for waiting in all."""
        self._settings = settings

    def set_full(self, *, full: bool, detail: str) -> None:
        """The log's disk has run out of room, or has room again."""
        if full != self._full:
            self._full = full
            self._alarm("log-full" if full else "log-has-room", detail)

    @property
    def is_full(self) -> bool:
        """Is mail being put off for want of room?"""
        return self._full

    @property
    def open_connections(self) -> int:
        """Connections at this moment."""
        return len(self._connections)

    async def drain(self, deadline_s: float) -> None:
        """Say goodbye to everybody; messages under way to the log get their answer first."""
        self._draining = True
        until_s = self.clock.monotonic_s() + deadline_s
        while self._connections and self.clock.monotonic_s() < until_s:
            for connection in list(self._connections):
                connection.shut_down()
            await asyncio.sleep(0.02)
        for connection in list(self._connections):
            connection.close_tls_task()
            connection.abort()
        if self._ticker is not None:
            self._ticker.cancel()
        self.refusals.flush()

    def _is_exempt(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return peer == "local"
        return any(address in network for network in self._settings.exempt)

    def _tick(self) -> None:
        """Once a second: end those who took too long, write summed refusals."""
        self._ticker = asyncio.get_running_loop().call_later(TICK_S, self._tick)
        if self._commit.broken:  # perhaps over a refusal, which nobody waits for
            self._tell_broken()
        self.refusals.flush()
        now_s = self.clock.monotonic_s()
        for connection in self._late(now_s):
            connection.time_out()

    def _late(self, now_s: float) -> Sequence[SmtpConnection]:
        settings = self._settings
        late: list[SmtpConnection] = []
        for connection in self._connections:
            idle_s = now_s - connection.progress_s
            match connection.phase:
                case Phase.DATA | Phase.CHUNK:
                    if connection.message_began_s is None:
                        connection.message_began_s = now_s
                    total_s = now_s - connection.message_began_s
                    if idle_s > settings.data_block_s or total_s > settings.data_total_s:
                        late.append(connection)
                case Phase.COMMAND | Phase.AUTH if idle_s > settings.command_s:
                    late.append(connection)
                case _:
                    pass
        return late
