"""The simulator's own parts: a simulation that is kinder than the world proves nothing."""

from __future__ import annotations

import asyncio
import errno
import random
from collections.abc import Callable, Iterator

import pytest

from staffetta.runtime.disk import FULL, NORMAL, Database, DatabaseSettings
from staffetta.runtime.faults import FaultMode, VolumeFault
from staffetta.runtime.tasks import Done, Failed, Outcome
from tests.sim.disk import Disk, Survival
from tests.sim.loop import make_loop
from tests.sim.machine import Crash, Machine, Moment, Process
from tests.sim.network import Network
from tests.sim.scheduler import Killed, Scheduler, Stuck
from tests.sim.threads import SimLock, SimThread
from tests.sim.volume import SimVolume


@pytest.fixture
def machine() -> Iterator[Machine]:
    machine = Machine(Scheduler(1))
    yield machine
    machine.close()


@pytest.fixture
def disk(machine: Machine) -> Disk:
    disk = machine.add_disk("disk")
    disk.found_directory("v")
    return disk


def do(machine: Machine, process: Process, work: Callable[[], None]) -> None:
    """Run something on a thread of a process, to its end."""
    ended = []

    def main() -> None:
        work()
        ended.append(True)

    process.spawn(main)
    machine.scheduler.run_for(60.0)
    assert ended or not process.alive


# --- disk ----------------------------------------------------------------------------------------


def test_only_what_is_synced_survives_a_power_cut() -> None:
    disk = Disk("d", random.Random(1))
    inode = disk.create("f")
    disk.write("f", inode, 0, b"kept")
    disk.sync("f", inode)
    disk.sync_directory("")
    disk.write("f", inode, 4, b" lost")
    assert inode.content == b"kept lost"
    disk.power_cut(Survival.NOTHING)
    found = disk.find("f")
    assert found is not None
    assert found.content == b"kept"


def test_a_synced_file_without_a_synced_name_is_gone() -> None:
    disk = Disk("d", random.Random(1))
    inode = disk.create("f")
    disk.write("f", inode, 0, b"kept")
    disk.sync("f", inode)
    disk.power_cut(Survival.NOTHING)
    assert disk.find("f") is None


def test_a_file_in_a_directory_whose_name_is_not_synced_is_gone() -> None:
    disk = Disk("d", random.Random(1))
    disk.make_directories("a/b")
    inode = disk.create("a/b/f")
    disk.sync("a/b/f", inode)
    disk.sync_directory("a/b")
    disk.sync_directory("")
    disk.power_cut(Survival.NOTHING)
    assert disk.names("") == ["a"]
    assert disk.find("a/b/f") is None


def test_a_removal_or_a_new_name_that_is_not_synced_is_undone() -> None:
    disk = Disk("d", random.Random(1))
    for name in ("old", "gone"):
        disk.sync(name, disk.create(name))
    disk.sync_directory("")
    disk.rename("old", "new")
    disk.remove("gone")
    assert disk.names("") == ["new"]
    disk.power_cut(Survival.NOTHING)
    assert disk.names("") == ["gone", "old"]


def test_everything_may_survive_a_power_cut() -> None:
    disk = Disk("d", random.Random(1))
    disk.write("f", disk.create("f"), 3, b"xyz")
    disk.power_cut(Survival.EVERYTHING)
    found = disk.find("f")
    assert found is not None
    assert found.content == b"\0\0\0xyz"


def test_any_part_of_a_write_may_survive() -> None:
    seen = set()
    for seed in range(300):
        disk = Disk("d", random.Random(seed))
        inode = disk.create("f")
        disk.sync("f", inode)
        disk.sync_directory("")
        disk.write("f", inode, 0, b"a" * 1024)
        disk.write("f", inode, 1024, b"b" * 512)
        disk.power_cut(Survival.PARTS)
        found = disk.find("f")
        assert found is not None
        seen.add(bytes(found.content[::512]))
    assert {b"", b"aab", b"aa", b"\0\0b", b"a", b"\0ab"} <= seen


def test_of_a_prefix_no_later_write_survives_without_the_earlier_ones() -> None:
    sizes = set()
    for seed in range(40):
        disk = Disk("d", random.Random(seed))
        inode = disk.create("f")
        disk.sync("f", inode)
        disk.sync_directory("")
        for number in range(4):
            disk.write("f", inode, number, b"%d" % number)
        disk.power_cut(Survival.PREFIX)
        found = disk.find("f")
        assert found is not None
        assert b"0123".startswith(found.content)
        sizes.add(len(found.content))
    assert len(sizes) > 2


def test_what_a_failed_sync_dropped_no_later_sync_brings_back() -> None:
    lost = 0
    for seed in range(20):
        disk = Disk("d", random.Random(seed))
        inode = disk.create("f")
        disk.sync_directory("")
        disk.write("f", inode, 0, b"dropped")
        disk.faults.sync_fails = lambda path: errno.EIO
        with pytest.raises(OSError, match="Input/output"):
            disk.sync("f", inode)
        disk.faults.sync_fails = lambda path: 0
        disk.sync("f", inode)
        assert inode.content == b"dropped"  # and the page cache shows it all the while
        disk.power_cut(Survival.NOTHING)
        found = disk.find("f")
        assert found is not None
        lost += found.content == b""
    assert 0 < lost < 20


def test_a_full_disk_takes_nothing_and_loses_nothing() -> None:
    disk = Disk("d", random.Random(1), capacity_bytes=10)
    inode = disk.create("f")
    disk.write("f", inode, 0, b"0123456789")
    with pytest.raises(OSError, match="No space"):
        disk.write("f", inode, 10, b"x")
    disk.write("f", inode, 0, b"9876543210")  # in place there is room
    assert inode.content == b"9876543210"


# --- databases on it -----------------------------------------------------------------------------


def _make_table(volume: SimVolume, settings: DatabaseSettings) -> Database:
    database = volume.database("a.db", settings)
    database.run("CREATE TABLE IF NOT EXISTS t(x)")
    return database


@pytest.mark.parametrize(("synchronous", "kept"), [(FULL, [(1,), (2,)]), (NORMAL, [])])
def test_a_commit_survives_if_it_was_synced(
    machine: Machine, disk: Disk, synchronous: object, kept: list[tuple[int]]
) -> None:
    process = machine.start("p")

    def work() -> None:
        volume = SimVolume(process, disk, "v", "v")
        settings = DatabaseSettings(synchronous=synchronous)  # type: ignore[arg-type]
        database = _make_table(volume, DatabaseSettings())
        database.close()
        volume.sync(["a.db"])
        database = volume.database("a.db", settings)
        database.run("INSERT INTO t VALUES(1)")
        database.run("INSERT INTO t VALUES(2)")

    do(machine, process, work)
    machine.cut_power(Survival.NOTHING)
    later = machine.start("p")
    found: list[tuple[object, ...]] = []
    do(
        machine,
        later,
        lambda: found.extend(
            SimVolume(later, disk, "v", "v")
            .database("a.db", DatabaseSettings())
            .rows("SELECT x FROM t")
        ),
    )
    assert found == kept


def test_two_processes_share_a_database(machine: Machine, disk: Disk) -> None:
    one, other = machine.start("one"), machine.start("other")
    seen: list[list[tuple[object, ...]]] = []

    def write() -> None:
        database = _make_table(SimVolume(one, disk, "v", "v"), DatabaseSettings())
        with database.transaction():
            database.run("INSERT INTO t VALUES(1)")
            assert SimThread.running is not None
            SimThread.running.park(1.0)

    def read() -> None:
        assert SimThread.running is not None
        SimThread.running.park(0.5)
        database = SimVolume(other, disk, "v", "v").database("a.db", DatabaseSettings())
        seen.append(database.rows("SELECT x FROM t"))
        with database.transaction():  # waits, in virtual time, for the other to be done
            seen.append(database.rows("SELECT x FROM t"))

    one.spawn(write)
    do(machine, other, read)
    assert seen == [[], [(1,)]]


def test_a_killed_process_leaves_what_it_wrote_and_no_lock(machine: Machine, disk: Disk) -> None:
    process = machine.start("p")

    def work() -> None:
        database = _make_table(SimVolume(process, disk, "v", "v"), DatabaseSettings())
        database.run("INSERT INTO t VALUES(1)")
        with database.transaction():
            database.run("INSERT INTO t VALUES(2)")
            assert SimThread.running is not None
            SimThread.running.park(100.0)

    process.spawn(work)
    machine.scheduler.run_for(10.0)
    machine.kill(process)
    later = machine.start("p")
    found: list[tuple[object, ...]] = []

    def look() -> None:
        database = SimVolume(later, disk, "v", "v").database("a.db", DatabaseSettings())
        with database.transaction():
            found.extend(database.rows("SELECT x FROM t"))

    do(machine, later, look)
    assert found == [(1,)]


def test_a_database_that_did_not_get_its_log_is_refused(machine: Machine, disk: Disk) -> None:
    process = machine.start("p")
    met: list[VolumeFault] = []

    def work() -> None:
        left = [1]

        def fail_once(path: str) -> int:
            left[0] -= 1
            return errno.EIO if left[0] == 0 else 0

        disk.faults.sync_fails = fail_once
        try:
            SimVolume(process, disk, "v", "v").database("a.db", DatabaseSettings())
        except VolumeFault as fault:
            met.append(fault)

    # The folder has been synced before, so that it is SQLite's own first sync that fails.
    do(machine, process, lambda: SimVolume(process, disk, "v", "v").write_lazily("x", b""))
    do(machine, process, work)
    assert [fault.mode for fault in met] == [FaultMode.ERROR]


@pytest.mark.parametrize("moment", list(Moment))
def test_a_crash_strikes_where_it_is_planned(machine: Machine, disk: Disk, moment: Moment) -> None:
    process = machine.start("p")
    machine.crashes.append(Crash("p", 2, moment))

    def work() -> None:
        volume = SimVolume(process, disk, "v", "v")
        volume.write_lazily("f", b"octets")  # the first operation creates, the second writes
        raise AssertionError("the process goes on after its end")

    do(machine, process, work)
    assert not process.alive
    inode = disk.find("v/f")
    assert inode is not None
    assert bytes(inode.content) == (b"octets" if moment is Moment.AFTER else b"")


def test_a_hanging_volume_stops_its_thread_and_nothing_else(machine: Machine, disk: Disk) -> None:
    process = machine.start("p")
    volume = SimVolume(process, disk, "v", "v")
    volume.gate.break_(FaultMode.HANG)
    written: list[float] = []

    def write() -> None:
        volume.write_lazily("f", b"x")
        written.append(process.clock.monotonic_s())

    process.spawn(write)
    machine.scheduler.run_for(5.0)
    assert written == []
    volume.gate.mend()
    machine.scheduler.run_for(1.0)
    assert len(written) == 1
    assert written[0] >= 5.0


# --- threads, loop, network ----------------------------------------------------------------------


def test_threads_take_turns_where_they_park(machine: Machine) -> None:
    process, order = machine.start("p"), []

    def work(name: str, pause_s: float) -> None:
        for _ in range(2):
            order.append(name)
            assert SimThread.running is not None
            SimThread.running.park(pause_s)

    process.spawn(lambda: work("slow", 2.0))
    process.spawn(lambda: work("quick", 0.5))
    machine.scheduler.run_for(10.0)
    assert sorted(order[:2]) == ["quick", "slow"]
    assert order[2:] == ["quick", "slow"]


def test_a_lock_is_held_by_one_thread_at_a_time(machine: Machine) -> None:
    process, lock, inside = machine.start("p"), SimLock(), []

    def work() -> None:
        with lock:
            inside.append("in")
            assert SimThread.running is not None
            SimThread.running.park(1.0)
            inside.append("out")

    for _ in range(3):
        process.spawn(work)
    machine.scheduler.run_for(10.0)
    assert inside == ["in", "out"] * 3


def test_a_worker_runs_jobs_in_order_and_tells_the_loop(machine: Machine) -> None:
    process = machine.start("p")
    worker = process.worker("log")
    heard: list[Outcome[int]] = []

    def fail() -> int:
        raise ValueError("no")

    worker.submit(lambda: 1, heard.append)
    worker.submit(fail, heard.append)
    worker.submit(lambda: 3, heard.append)
    assert heard == []
    machine.scheduler.run_for(1.0)
    assert heard[0] == Done(1)
    assert isinstance(heard[1], Failed)
    assert heard[2] == Done(3)


def test_nothing_of_a_dead_process_goes_on(machine: Machine) -> None:
    process, ran = machine.start("p"), []

    def work() -> None:
        try:
            assert SimThread.running is not None
            SimThread.running.park(5.0)
        except Exception:
            ran.append("survived its own end")

    process.spawn(work)
    process.loop.call_later(3.0, ran.append, "a timer")
    machine.scheduler.run_for(1.0)
    machine.kill(process)
    machine.scheduler.run_for(10.0)
    assert ran == []


def test_the_loop_keeps_virtual_time_and_asyncio_s_order() -> None:
    scheduler = Scheduler(1)
    loop = make_loop(scheduler)
    order: list[object] = []

    async def wait() -> float:
        await asyncio.sleep(3600)
        return loop.time()

    task = loop.create_task(wait())
    for number in range(5):
        loop.call_soon(order.append, number)
    cancelled = loop.call_later(1, order.append, "cancelled")
    cancelled.cancel()
    scheduler.run_for(4000.0)
    assert order == [0, 1, 2, 3, 4]
    assert task.result() == pytest.approx(3600)


def test_a_bug_in_a_callback_ends_the_run() -> None:
    scheduler = Scheduler(1)
    loop = make_loop(scheduler)
    loop.call_soon({}.__getitem__, "nothing")
    with pytest.raises(KeyError):
        scheduler.run_for(1.0)


def test_waiting_in_vain_is_an_error() -> None:
    with pytest.raises(Stuck):
        Scheduler(1).run_until(lambda: False, 10.0, "anything")


class Echo(asyncio.Protocol):
    """Sends back what it gets, and notes how it ended."""

    def __init__(self, pieces: list[bytes], ends: list[object]) -> None:
        self._pieces = pieces
        self._ends = ends
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._pieces.append(data)
        assert self._transport is not None
        self._transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ends.append(exc)


@pytest.mark.parametrize("cut_after_bytes", [None, 0, 7])
def test_octets_arrive_in_order_and_in_pieces_until_the_connection_is_cut(
    machine: Machine, cut_after_bytes: int | None
) -> None:
    process = machine.start("p")
    network, outside = Network(machine.scheduler), make_loop(machine.scheduler)
    pieces: list[bytes] = []
    ends: list[object] = []
    network.listen("echo", process, lambda: Echo(pieces, ends))
    lines = [b"line %d" % number for number in range(50)]
    heard: list[bytes] = []

    async def talk() -> None:
        client = await network.connect("echo", outside, "192.0.2.1")
        assert client.link is not None
        client.link.to_server.cut_after_bytes = cut_after_bytes
        client.write(b"\r\n".join([*lines, b""]))
        for _ in lines:
            heard.append(await client.read_line())
        client.close()

    task = outside.create_task(talk())
    machine.scheduler.run_for(60.0)
    sent = b"\r\n".join([*lines, b""])
    if cut_after_bytes is None:
        assert heard == lines
        assert task.exception() is None
        assert len(pieces) > 1
        assert ends == [None]
    else:
        assert b"".join(pieces) == sent[:cut_after_bytes]
        assert isinstance(task.exception(), ConnectionResetError)
        assert isinstance(ends[0], ConnectionResetError)


def test_killed_is_no_exception_that_code_survives() -> None:
    assert not issubclass(Killed, Exception)
