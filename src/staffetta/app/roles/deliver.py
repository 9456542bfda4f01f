"""The deliver role: from the log into the mailboxes, one thread for each cell."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence

from staffetta.app import wiring
from staffetta.app.config import Config
from staffetta.app.roles.contract import CellState, Role, RoleContext, RoleState
from staffetta.app.roles.recipients import directory_state, open_recipients
from staffetta.delivery.cell_reader import CellReader, ReaderSettings
from staffetta.delivery.checkpoints import Checkpoints
from staffetta.delivery.facts_sink import FactsSink
from staffetta.delivery.repair import Repairer
from staffetta.delivery.service import CellCondition, Deliveries
from staffetta.delivery.tail import Tail
from staffetta.directory.replica import RecipientTable
from staffetta.log.facts import CellChanged, MailboxChanged
from staffetta.log.port import LogBroken, LogFull, NewEntry
from staffetta.log.receipts import ReceiptMint
from staffetta.log.retention import retire
from staffetta.mailboxes.port import MailboxRef
from staffetta.mailboxes.progress import Progress
from staffetta.runtime.faults import VolumeFault
from staffetta.runtime.net import Listening
from staffetta.runtime.notify import SocketNotifier
from staffetta.runtime.processes import repeat_on_thread

CONDITIONS_INTERVAL_S = 0.5
RETENTION_INTERVAL_S = 600.0


def build(context: RoleContext) -> Role:
    """The role of this process."""
    return DeliverRole(context)


class DeliverRole:
    """One process that delivers to its share of the cells."""

    def __init__(self, context: RoleContext) -> None:
        self._context = context
        self._conditions: list[CellCondition] = []
        self._since_us: dict[str, tuple[str, int]] = {}
        self._table: RecipientTable | None = None
        self._deliveries: Deliveries | None = None
        self._facts: FactsSink | None = None
        self._tail: Tail | None = None
        self._mint = ReceiptMint(context.partition, context.entropy)
        self._repairer = Repairer(self._is_damaged, self._rebuild, self._report_repair)
        self._notifier = SocketNotifier(context.config.data.run, context.clock)

    async def start(self) -> None:
        context = self._context
        self._table = await asyncio.to_thread(open_recipients, context)
        self._facts = FactsSink(wiring.open_log_writer(context))
        self._tail = Tail(wiring.open_log_reader(context.config, context.volumes))
        self._deliveries = Deliveries(self._tail, context.clock, self._report)
        self._deliveries.start()
        self._add_cells()
        repeat_on_thread(self._look, CONDITIONS_INTERVAL_S, "conditions")
        if context.index == 0:
            repeat_on_thread(self._retire, RETENTION_INTERVAL_S, "retention")
        context.commands["pause"] = self._answer_pause
        context.commands["go-on"] = self._answer_go_on
        context.commands["positions"] = self._answer_positions
        context.commands["rebuild"] = self._answer_rebuild
        context.commands["rebuild-state"] = self._answer_rebuild_state

    async def drain(self, deadline_s: float) -> None:
        if self._deliveries is not None:
            late = await asyncio.to_thread(self._deliveries.stop, deadline_s * 0.8)
            for cell in late:
                self._context.logger.warning("cell-left-behind", cell=cell)
        if self._facts is not None:
            self._facts.close()

    def reload(self, config: Config) -> None:
        return

    def state(self) -> RoleState:
        if self._table is None:
            return RoleState(working=False, detail="starting")
        cells = {
            condition.cell: CellState(
                state=condition.state,
                detail=condition.detail,
                since_us=self._since_us.get(condition.cell, ("", 0))[1],
                lag_messages=condition.waiting,
                oldest_waiting_s=condition.oldest_waiting_s,
            )
            for condition in self._conditions
        }
        return RoleState(
            cells=cells,
            directory=directory_state(self._table),
            numbers={
                "delivered": sum(condition.delivered for condition in self._conditions),
                "held": sum(condition.held for condition in self._conditions),
                "waiting": sum(condition.waiting for condition in self._conditions),
            },
        )

    def listeners(self) -> Sequence[Listening]:
        return ()

    def _add_cells(self) -> None:
        """Begin with cells that are ours and new. The first of all looks after the lane."""
        context, table, deliveries = self._context, self._table, self._deliveries
        assert table is not None
        assert deliveries is not None
        names = sorted(table.catalogue.cells)
        for number, name in enumerate(names):
            mine = number % context.siblings == context.index
            if mine and name not in deliveries.cells:
                deliveries.add(self._reader(name, table, lane=number == 0))

    def _reader(self, name: str, table: RecipientTable, *, lane: bool) -> CellReader:
        context, settings = self._context, self._context.config.delivery
        assert self._tail is not None
        assert self._facts is not None
        return CellReader(
            wiring.open_cell(context, name),
            self._tail,
            wiring.open_log_reader(context.config, context.volumes),
            Checkpoints(context.volumes.checkpoints, name),
            table,
            self._facts,
            context.clock,
            ReaderSettings(
                batch_entries=settings.batch_messages_max,
                batch_bytes_max=settings.batch_bytes_max,
                sync_interval_s=settings.sync_interval_s,
                held_retry_s=settings.held_retry_s,
            ),
            lane=lane,
            changed=self._notifier.announce,
            damaged=self._note_damage,
        )

    def _note_damage(self, ref: MailboxRef, detail: str) -> None:
        assert self._table is not None
        target = self._table.by_mailbox(ref.mailbox)
        if target is not None:
            self._repairer.note(target.cell, ref, detail)

    def _is_damaged(self, cell: str, ref: MailboxRef) -> bool:
        assert self._deliveries is not None
        return wiring.is_mailbox_damaged(self._deliveries.cells[cell].reader.cell, ref)

    def _rebuild(self, cell: str, ref: MailboxRef) -> Iterator[Progress]:
        assert self._deliveries is not None
        context = self._context
        reader = wiring.open_log_reader(context.config, context.volumes)
        try:
            yield from wiring.rebuild_mailbox(self._deliveries.cells[cell].reader.cell, reader, ref)
        finally:
            reader.close()

    def _report_repair(self, ref: MailboxRef, what: str, detail: str) -> None:
        """A mailbox is being, or has been, rebuilt: say it, and keep it."""
        say = self._context.logger.info if what == "rebuilt" else self._context.logger.error
        say("mailbox", mailbox=ref.mailbox, what=what, detail=detail)
        now_us = self._context.clock.now_us()
        fact = MailboxChanged(ref.mailbox, what, detail)
        self._keep(NewEntry(now_us, self._mint.make(now_us), fact, None, (ref.mailbox,)))
        if what == "rebuilt":
            self._notifier.announce([ref.mailbox])

    def _report(self, cell: str, state: str, detail: str) -> None:
        """A cell changed its condition: say it, and keep it."""
        now_us = self._context.clock.now_us()
        self._since_us[cell] = (state, now_us)
        say = self._context.logger.info if state == "healthy" else self._context.logger.error
        say("cell", cell=cell, state=state, detail=detail)
        fact = CellChanged(cell, state, f"{self._context.role}-{self._context.index}", detail)
        self._keep(NewEntry(now_us, self._mint.make(now_us), fact))

    def _keep(self, entry: NewEntry) -> None:
        assert self._facts is not None
        try:
            self._facts.append([entry])
        except (LogFull, LogBroken) as error:
            self._context.logger.error("fact-lost", fact=str(entry.fact), detail=str(error))

    def _look(self) -> None:
        assert self._deliveries is not None
        self._add_cells()
        try:
            self._conditions = self._deliveries.conditions()
        except VolumeFault as fault:
            self._context.logger.error("log-unreachable", detail=str(fault))

    def _retire(self) -> None:
        """Forget what is old, unless any cell, of whatever process, still needs it."""
        context = self._context
        assert self._table is not None
        cells = [
            Checkpoints(context.volumes.checkpoints, name) for name in self._table.catalogue.cells
        ]
        try:
            gone = retire(
                context.volumes.log,
                context.clock.now_us(),
                context.config.log.retention_days,
                lambda partition: min((cell.safe_position(partition) for cell in cells), default=0),
            )
        except VolumeFault as fault:
            context.logger.error("retention-failed", detail=str(fault))
            return
        finally:
            for cell in cells:
                cell.close()
        for path in gone:
            context.logger.info("log-file-retired", file=path)

    async def _answer_pause(self, request: Mapping[str, object]) -> Mapping[str, object]:
        """Keep cells from taking anything: {"cells": [...]} → {"paused": [...]}."""
        assert self._deliveries is not None
        cells = self._deliveries.cells
        paused = []
        for name in _names(request):
            if name in cells and await asyncio.to_thread(cells[name].pause, 10.0):
                paused.append(name)
        return {"paused": paused}

    async def _answer_go_on(self, request: Mapping[str, object]) -> Mapping[str, object]:
        """Undo `pause`."""
        assert self._deliveries is not None
        for name in _names(request):
            if name in self._deliveries.cells:
                self._deliveries.cells[name].go_on()
        return {}

    async def _answer_positions(self, request: Mapping[str, object]) -> Mapping[str, object]:
        """How far each cell has durably dealt with each partition."""
        assert self._deliveries is not None
        return {
            name: {str(p): n for p, n in thread.reader.durable_positions().items()}
            for name, thread in self._deliveries.cells.items()
        }

    async def _answer_rebuild(self, request: Mapping[str, object]) -> Mapping[str, object]:
        """Make a mailbox again, damaged or not: {"mailbox": n} → {"cell": name}."""
        assert self._table is not None
        target = self._table.by_mailbox(int(str(request["mailbox"])))
        if target is None:
            return {"error": "there is no such mailbox"}
        ref = MailboxRef(target.mailbox, target.uid_validity, target.quota_bytes)
        self._repairer.note(target.cell, ref, "asked for", force=True)
        return {"cell": target.cell}

    async def _answer_rebuild_state(self, request: Mapping[str, object]) -> Mapping[str, object]:
        """How far that is: {"mailbox": n} → {"state", "done", "total", "detail"}."""
        state = self._repairer.state(int(str(request["mailbox"])))
        return {
            "state": state.what,
            "done": state.done,
            "total": state.total,
            "detail": state.detail,
        }


def _names(request: Mapping[str, object]) -> list[str]:
    names = request.get("cells", ())
    return [str(name) for name in names] if isinstance(names, list) else []
