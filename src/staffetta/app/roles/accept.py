"""The accept role: SMTP and LMTP in, through `journey.accept` into the log.

It needs its own recipient table and the log, and never touches a cell.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence

from staffetta.app import wiring
from staffetta.app.config import Config
from staffetta.app.roles.contract import Role, RoleContext, RoleState
from staffetta.app.roles.recipients import directory_state, open_recipients
from staffetta.directory.replica import RecipientTable
from staffetta.doors.smtp.door import DoorCounts, DoorSettings, SmtpDoor
from staffetta.journey.accept import Acceptance
from staffetta.journey.refusals import Refusals
from staffetta.journey.repeats import Repeats, find_suspects
from staffetta.log.commit import CommitLimits, GroupCommit
from staffetta.log.port import LogWriter
from staffetta.log.receipts import ReceiptMint
from staffetta.protocols.smtp.settings import SmtpLimits, SmtpSettings
from staffetta.runtime.faults import VolumeFault
from staffetta.runtime.net import Listening, open_servers
from staffetta.runtime.processes import repeat_on_thread
from staffetta.runtime.tasks import ThreadWorker

ROOM_INTERVAL_S = 0.5


def build(context: RoleContext) -> Role:
    """The role of this process."""
    return AcceptRole(context)


class AcceptRole:
    """One process that says `250`, with a partition of the log of its own."""

    def __init__(self, context: RoleContext) -> None:
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._servers: list[asyncio.Server] = []
        self._table: RecipientTable | None = None
        self._door: SmtpDoor | None = None
        self._commit: GroupCommit | None = None
        self._writer: LogWriter | None = None
        self._workers: list[ThreadWorker] = []
        self._free_bytes = 0
        self._counts = _counts(context)

    async def start(self) -> None:
        context = self._context
        self._table = await asyncio.to_thread(open_recipients, context)
        self._writer = wiring.open_log_writer(context)
        reader = wiring.open_log_reader(context.config, context.volumes)
        suspects = find_suspects(reader, context.partition)
        reader.close()
        limits = context.config.log
        self._commit = GroupCommit(
            self._writer,
            self._worker("log"),
            CommitLimits(
                group_entries_max=limits.commit_messages_max,
                group_bytes_max=limits.commit_bytes_max,
            ),
        )
        mint = ReceiptMint(context.partition, context.entropy)
        self._door = SmtpDoor(
            door_settings(context),
            self._table,
            Acceptance(self._commit, mint, context.clock, context.host_name, Repeats(suspects)),
            Refusals(self._commit, mint, context.clock),
            self._commit,
            self._writer,
            self._worker("spool"),
            context.clock,
            context.tls,
            self._counts,
            self._alarm,
        )
        self._measure_room()
        repeat_on_thread(self._measure_room, ROOM_INTERVAL_S, "log-room")
        self._add_metrics()
        for name in ("smtp", "lmtp"):
            sockets = context.sockets.get(name, ())
            self._servers += await open_servers(sockets, self._door.protocol(name))

    async def drain(self, deadline_s: float) -> None:
        for server in self._servers:
            server.close()
        if self._door is not None:
            await self._door.drain(deadline_s * 0.8)
        if self._commit is not None:
            await self._commit.settle()
        for worker in self._workers:
            worker.close()
            worker.join(deadline_s * 0.1)
        if self._writer is not None:
            self._writer.close()

    def reload(self, config: Config) -> None:
        if self._door is not None:
            self._door.reload(door_settings(self._context, config))

    def state(self) -> RoleState:
        door, commit = self._door, self._commit
        if door is None or commit is None or self._table is None:
            return RoleState(working=False, detail="starting")
        detail = commit.broken and f"the log does not take mail: {commit.broken}"
        if not detail and door.is_full:
            detail = "the log's disk has no room"
        statistics = commit.statistics()
        return RoleState(
            working=not detail,
            detail=detail,
            directory=directory_state(self._table),
            numbers={
                "offered": self._counts.offered.value,
                "accepted": self._counts.accepted.value,
                "refused": self._counts.refused.value,
                "abandoned": self._counts.abandoned.value,
                "messages": self._counts.messages.value,
                "repeated": self._counts.repeated.value,
                "connections": door.open_connections,
                "commits": statistics.groups,
                "waiting": statistics.waiting,
                "free_bytes": self._free_bytes,
            },
        )

    def listeners(self) -> Sequence[Listening]:
        sockets = self._context.sockets
        return [bound.listening for name in ("smtp", "lmtp") for bound in sockets.get(name, ())]

    def _worker(self, name: str) -> ThreadWorker:
        worker = ThreadWorker(name, self._loop)
        self._workers.append(worker)
        return worker

    def _alarm(self, event: str, detail: str) -> None:
        self._context.logger.error(event, detail=detail)

    def _measure_room(self) -> None:
        """How much room the log's disk has; on a thread, because a disk may hang."""
        limits = self._context.config.log
        try:
            free_bytes = self._context.volumes.log.free_bytes()
        except VolumeFault as fault:
            self._context.logger.error("log-unreachable", detail=str(fault))
            return
        was_ample = self._free_bytes == 0 or self._free_bytes >= limits.free_bytes_alarm
        if was_ample and free_bytes < limits.free_bytes_alarm:
            self._context.logger.error(
                "log-room-low", free_bytes=free_bytes, alarm_bytes=limits.free_bytes_alarm
            )
        self._free_bytes = free_bytes
        full = free_bytes < limits.free_bytes_min
        door = self._door
        assert door is not None
        detail = f"{free_bytes} bytes free, {limits.free_bytes_min} needed"
        self._loop.call_soon_threadsafe(lambda: door.set_full(full=full, detail=detail))

    def _add_metrics(self) -> None:
        metrics, commit, door = self._context.metrics, self._commit, self._door
        assert commit is not None
        assert door is not None
        metrics.gauge("log_free_bytes", "Room on the log's disk", lambda: float(self._free_bytes))
        metrics.gauge(
            "smtp_connections_open", "Connections now", lambda: float(door.open_connections)
        )
        metrics.gauge(
            "log_commits", "Transactions of the log", lambda: float(commit.statistics().groups)
        )
        metrics.gauge(
            "log_waiting", "Entries that wait for the log", lambda: commit.statistics().waiting
        )


def door_settings(context: RoleContext, config: Config | None = None) -> DoorSettings:
    """The doors' limits and times, from the configuration."""
    smtp = (config or context.config).smtp
    limits, timeouts = smtp.limits, smtp.timeouts
    machine_limits = SmtpLimits(
        recipients_max=limits.recipients_max,
        message_bytes_max=limits.message_size_bytes_max,
        body_memory_bytes_max=(config or context.config).log.inline_body_bytes_max,
        errors_max=limits.errors_max,
        commands_without_message_max=limits.commands_max,
    )
    return DoorSettings(
        SmtpSettings(context.host_name, limits=machine_limits),
        SmtpSettings(context.host_name, lmtp=True, limits=machine_limits),
        limits.connections_max,
        limits.connections_per_address_max,
        tuple(ipaddress.ip_network(text) for text in limits.address_limit_exempt),
        limits.hops_max,
        timeouts.command_s,
        timeouts.data_block_s,
        timeouts.data_total_s,
        timeouts.tls_handshake_s,
    )


def _counts(context: RoleContext) -> DoorCounts:
    tally = context.metrics.tally
    return DoorCounts(
        tally("recipients_offered", "Recipients that senders named"),
        tally("recipients_accepted", "Recipients of messages answered 250"),
        tally("recipients_refused", "Recipients refused at RCPT, or lost with a message"),
        tally("recipients_abandoned", "Recipients whose sender did not finish the message"),
        tally("messages_accepted", "Messages answered 250"),
        tally("messages_repeated", "Messages sent again, answered with the receipt they had"),
        tally("smtp_connections", "Connections to the SMTP and LMTP doors"),
    )
