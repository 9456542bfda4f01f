"""A cell that fails is answered for at once, alone, and is back as soon as it works."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import cast

import pytest

from staffetta.mailboxes.access import AccessSettings, CellAccess, CellState, CellUnavailable
from staffetta.mailboxes.port import Cell, Mailbox, MailboxDamaged, MailboxRef, NoSuchFolder
from staffetta.runtime.faults import FaultMode, Gate, Operation

REF = MailboxRef(mailbox=7, uid_validity=1)
OTHER = MailboxRef(mailbox=8, uid_validity=1)
QUICK = AccessSettings(deadline_s=0.05, threads_max=2, probe_deadline_s=0.05, probe_interval_s=0.01)


class GatedMailbox:
    """A mailbox whose only operation passes the cell's gate."""

    abandoned: threading.Event | None = None

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def read(self) -> str:
        self._gate.pass_(Operation.READ, self.abandoned)
        return "read"

    def write(self) -> str:
        self._gate.pass_(Operation.WRITE, self.abandoned)
        return "written"


class GatedCell:
    """As much of a cell as its access needs, on a real gate."""

    name = "c1"

    def __init__(self) -> None:
        self.gate = Gate(self.name)
        self.open_mailboxes = 0

    def open(self, ref: MailboxRef) -> Mailbox:
        return cast(Mailbox, GatedMailbox(self.gate))

    def probe(self) -> None:
        self.gate.pass_(Operation.WRITE)


Scenario = Callable[[CellAccess, GatedCell, list[CellState]], Awaitable[None]]


def play(scenario: Scenario, settings: AccessSettings = QUICK) -> None:
    async def run() -> None:
        cell = GatedCell()
        states: list[CellState] = []
        access = CellAccess(
            cast(Cell, cell), settings, changed=lambda name, state, detail: states.append(state)
        )
        access.start()
        try:
            await scenario(access, cell, states)
        finally:
            cell.gate.mend()
            await access.close()

    asyncio.run(run())


def read(mailbox: Mailbox) -> str:
    return cast(GatedMailbox, mailbox).read()


def write(mailbox: Mailbox) -> str:
    return cast(GatedMailbox, mailbox).write()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 (what is waited for has no event)
            await asyncio.sleep(0.001)


def test_a_healthy_cell_answers() -> None:
    async def scenario(access: CellAccess, cell: GatedCell, states: list[CellState]) -> None:
        assert await access.run(REF, read) == "read"
        assert states == []

    play(scenario)


@pytest.mark.parametrize("mode", [FaultMode.ERROR, FaultMode.GONE, FaultMode.HANG])
def test_a_broken_cell_is_unavailable_then_answers_at_once_and_recovers(mode: FaultMode) -> None:
    async def scenario(access: CellAccess, cell: GatedCell, states: list[CellState]) -> None:
        assert await access.run(REF, read) == "read"
        cell.gate.break_(mode)
        with pytest.raises(CellUnavailable) as first:
            await access.run(REF, read)
        assert first.value.mode is mode
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        with pytest.raises(CellUnavailable):
            await access.run(OTHER, read)
        assert loop.time() - began_s < QUICK.deadline_s
        await until(lambda: access.state is CellState.DOWN)
        cell.gate.mend()
        await until(lambda: access.state is CellState.HEALTHY)
        assert await access.run(REF, read) == "read"
        assert states == [CellState.SUSPECT, CellState.DOWN, CellState.HEALTHY]

    play(scenario)


@pytest.mark.parametrize("mode", [FaultMode.FULL, FaultMode.READONLY])
def test_a_cell_that_refuses_writes_is_still_read(mode: FaultMode) -> None:
    async def scenario(access: CellAccess, cell: GatedCell, states: list[CellState]) -> None:
        cell.gate.break_(mode)
        with pytest.raises(CellUnavailable) as refused:
            await access.run(REF, write, writes=True)
        assert refused.value.mode is mode
        await asyncio.sleep(0.03)  # some probes fail meanwhile
        assert access.state is CellState.SUSPECT
        assert await access.run(REF, read) == "read"
        cell.gate.mend()
        await until(lambda: access.state is CellState.HEALTHY)
        assert await access.run(REF, write, writes=True) == "written"

    play(scenario)


def test_one_slow_operation_does_not_close_a_cell_that_works() -> None:
    async def scenario(access: CellAccess, cell: GatedCell, states: list[CellState]) -> None:
        go_on = threading.Event()
        with pytest.raises(CellUnavailable):
            await access.run(REF, lambda mailbox: go_on.wait(5))
        await until(lambda: access.state is CellState.HEALTHY)
        assert await access.run(OTHER, read) == "read"
        go_on.set()
        assert CellState.DOWN not in states

    play(scenario)


def test_a_job_that_may_be_long_is_not_waited_for_once_the_cell_is_known_to_hang() -> None:
    async def scenario(access: CellAccess, cell: GatedCell, states: list[CellState]) -> None:
        go_on = threading.Event()
        long = asyncio.create_task(access.run(OTHER, lambda mailbox: go_on.wait(5), deadline_s=5))
        await asyncio.sleep(3 * QUICK.deadline_s)
        assert not long.done()
        go_on.set()
        assert await long
        cell.gate.break_(FaultMode.HANG)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        with pytest.raises(CellUnavailable):
            await access.run(REF, read, deadline_s=60)
        assert loop.time() - began_s < 5

    play(scenario)


def test_jobs_on_one_mailbox_run_in_turn_and_others_beside_them() -> None:
    async def scenario(access: CellAccess, cell: GatedCell, states: list[CellState]) -> None:
        inside: list[int] = []
        order: list[int] = []

        def job(number: int) -> Callable[[Mailbox], None]:
            def run(mailbox: Mailbox) -> None:
                inside.append(number)
                assert len(inside) == 1
                order.append(number)
                inside.remove(number)

            return run

        await asyncio.gather(*(access.run(REF, job(number)) for number in range(20)))
        assert order == list(range(20))

        meeting = threading.Barrier(2, timeout=5)
        await asyncio.gather(
            access.run(REF, lambda mailbox: meeting.wait()),
            access.run(OTHER, lambda mailbox: meeting.wait()),
        )

    play(scenario, AccessSettings(threads_max=2))


def test_an_operation_given_up_while_the_cell_hung_is_never_done() -> None:
    async def scenario(access: CellAccess, cell: GatedCell, states: list[CellState]) -> None:
        cell.gate.break_(FaultMode.HANG)
        done: list[str] = []

        def job(mailbox: Mailbox) -> None:
            done.append(write(mailbox))

        with pytest.raises(CellUnavailable):
            await access.run(REF, job, writes=True)
        cell.gate.mend()
        await until(lambda: access.state is CellState.HEALTHY)
        assert await access.run(REF, read) == "read"
        assert done == []

    play(scenario)


def test_what_is_wrong_with_one_mailbox_is_reported_and_leaves_the_cell_open() -> None:
    async def scenario() -> None:
        reported: list[MailboxRef] = []
        access = CellAccess(
            cast(Cell, GatedCell()), QUICK, troubled=lambda ref, error: reported.append(ref)
        )

        def damaged(mailbox: Mailbox) -> None:
            raise MailboxDamaged(7, "garbage")

        def absent(mailbox: Mailbox) -> None:
            raise NoSuchFolder("x")

        with pytest.raises(MailboxDamaged):
            await access.run(REF, damaged)
        with pytest.raises(NoSuchFolder):
            await access.run(OTHER, absent)
        assert reported == [REF]
        assert access.state is CellState.HEALTHY
        assert await access.run(REF, read) == "read"

    asyncio.run(scenario())


def test_a_cancelled_job_passes_its_turn_on() -> None:
    async def scenario(access: CellAccess, cell: GatedCell, states: list[CellState]) -> None:
        go_on = threading.Event()
        first = asyncio.create_task(access.run(REF, lambda mailbox: go_on.wait(5)))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(access.run(REF, read))
        third = asyncio.create_task(access.run(REF, read))
        await asyncio.sleep(0.01)
        second.cancel()
        go_on.set()
        assert await third == "read"
        await first
        with pytest.raises(asyncio.CancelledError):
            await second

    play(scenario, AccessSettings())
