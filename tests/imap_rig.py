"""An IMAP door in memory: real sessions, real cells on disk, no sockets.

async with open_rig(tmp_path) as rig:
    client = rig.connect()
    client.send(b"a1 CAPABILITY\r\n")
    line = await client.read_line()
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from staffetta.directory.catalogue import Catalogue
from staffetta.directory.credentials import CannotSay, Denial, Denied, SignedIn, SignIn
from staffetta.directory.recipients import Target
from staffetta.directory.records import Brand, MailboxState
from staffetta.doors.imap.connection import ImapConnection
from staffetta.doors.imap.hall import Hall
from staffetta.doors.imap.settings import ImapSettings
from staffetta.mailboxes.access import AccessSettings, CellAccesses, CellState
from staffetta.mailboxes.port import Cell, Delivery, MailboxBatch, MailboxRef
from staffetta.mailboxes.roster import found_cell
from staffetta.mailboxes.sqlite import SqliteCell
from staffetta.runtime.clock import SystemClock
from staffetta.runtime.disk import DirectoryVolume
from staffetta.runtime.entropy import SystemEntropy
from staffetta.runtime.notify import SilentNotifier
from staffetta.runtime.telemetry import Metrics, SilentLogger
from staffetta.screening.attempts import AttemptLimits, Attempts
from staffetta.screening.sign_in import SignInDesk

PATIENCE_S = 10.0
PASSWORD = "correct horse"
PATIENT = AccessSettings(deadline_s=PATIENCE_S, probe_interval_s=0.02)
IMPATIENT = AccessSettings(deadline_s=1.0, probe_deadline_s=1.0, probe_interval_s=0.02)
"""For cells that will hang."""

CATALOGUE = Catalogue(
    brands={
        "libero": Brand("libero", "Libero Mail", "it"),
        "virgilio": Brand("virgilio", "Virgilio Mail", "en"),
    }
)
START_US = 1_700_000_000_000_000  # 2023-11-14T22:13:20Z


class HeldClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.at_s = 0.0

    def now_us(self) -> int:
        return START_US + int(self.at_s * 1e6)

    def monotonic_s(self) -> float:
        return self.at_s

    def utc_offset_s(self, at_us: int) -> int:
        return 0


class TablePasswords:
    """Who may sign in: a table of addresses, all with the same password."""

    def __init__(self, targets: Iterable[Target]) -> None:
        self.targets = {target.address: target for target in targets}
        self.unsure = False

    def verify(self, address: str, password: str) -> SignIn:
        if self.unsure:
            return CannotSay("stale")
        target = self.targets.get(address)
        if target is None or password != PASSWORD:
            return Denied(Denial.WRONG)
        if target.state is MailboxState.SUSPENDED:
            return Denied(Denial.SUSPENDED)
        return SignedIn(target)

    def suspend(self, address: str) -> None:
        """The owner of that mailbox may not sign in from now on."""
        self.targets[address] = replace(self.targets[address], state=MailboxState.SUSPENDED)


class MemoryTransport(asyncio.Transport):
    """A client's end in memory: what the door writes is kept in `written`."""

    def __init__(self, peer: str, is_secure: bool) -> None:
        super().__init__({"peername": (peer, 1), "ssl_object": object() if is_secure else None})
        self.protocol: asyncio.Protocol | None = None
        self.written = bytearray()
        self.news = asyncio.Event()
        self.is_closed = False
        self.is_reading = True

    def write(self, data: Any) -> None:
        self.written += data
        self.news.set()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        return

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self.news.set()
            assert self.protocol is not None
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()


class Client:
    """One client of the door."""

    def __init__(self, hall: Hall, peer: str, is_secure: bool) -> None:
        self.transport = MemoryTransport(peer, is_secure)
        self.connection = ImapConnection(hall)
        self.transport.protocol = self.connection
        self.connection.connection_made(self.transport)

    def send(self, octets: bytes) -> None:
        """What the client writes, in one piece."""
        self.connection.data_received(octets)

    async def read_line(self) -> bytes:
        """The door's next line, without CRLF. Raises `EOFError` when it has closed."""
        written = self.transport.written
        async with asyncio.timeout(PATIENCE_S):
            while (end := written.find(b"\r\n")) < 0:
                if self.transport.is_closed:
                    raise EOFError(bytes(written))
                self.transport.news.clear()
                await self.transport.news.wait()
        line = bytes(written[:end])
        del written[: end + 2]
        return line

    async def read_until(self, tag: bytes) -> list[bytes]:
        """The lines up to and with the tagged one."""
        lines = [await self.read_line()]
        while not lines[-1].startswith(tag + b" "):
            lines.append(await self.read_line())
        return lines

    async def command(self, octets: bytes) -> list[bytes]:
        """Send a command (tagged, without CRLF) and read its answer."""
        self.send(octets + b"\r\n")
        return await self.read_until(octets.split(b" ")[0])

    async def settle(self) -> None:
        """Wait until nothing runs for this client, or it has been asked something."""
        async with asyncio.timeout(PATIENCE_S):
            connection = self.connection
            while connection._task is not None and connection._asked is None:
                await asyncio.wait({connection._task}, timeout=PATIENCE_S)

    def close(self) -> None:
        """Go without a word."""
        self.transport.close()


class Rig:
    """A hall with one cell and two accounts, and whatever a test does to them."""

    def __init__(
        self,
        root: Path,
        settings: ImapSettings,
        tls: ssl.SSLContext | None = None,
        access: AccessSettings = PATIENT,
    ) -> None:
        self.clock = HeldClock()
        self.volume = DirectoryVolume("c1", root / "c1")
        found_cell(self.volume, SystemEntropy())
        self.cell: Cell = cast(Cell, SqliteCell(self.volume, SystemClock(), SystemEntropy()))
        self.states: list[CellState] = []
        self.troubled: list[int] = []
        self.accesses = CellAccesses(
            lambda name: self.cell,
            access,
            changed=lambda cell, state, detail: self.states.append(state),
            troubled=lambda ref, error: self.troubled.append(ref.mailbox),
        )
        self.anna = make_target("anna@libero.example", 1)
        self.bruno = make_target("bruno@virgilio.example", 2)
        self.passwords = TablePasswords((self.anna, self.bruno))
        limits = AttemptLimits(delay_first_s=0.0, delay_max_s=0.0)
        attempts = Attempts(self.clock, SystemEntropy(), limits)
        self.metrics = Metrics()
        self.hall = Hall(
            replace(settings, wake_delay_s=0.0),
            self.clock,
            SignInDesk(self.passwords, attempts),
            lambda: CATALOGUE,
            self.accesses,
            SilentNotifier(),
            SilentLogger(),
            self.metrics,
            tls,
        )
        self._receipts = 0

    def connect(self, peer: str = "127.0.0.1", is_secure: bool = False) -> Client:
        """A new connection; its greeting is still to be read."""
        return Client(self.hall, peer, is_secure)

    async def sign_in(self, account: Target | None = None) -> Client:
        """A connection that has signed in."""
        client = self.connect()
        await client.read_line()
        address = (account or self.anna).address.encode()
        lines = await client.command(b'in LOGIN %b "%b"' % (address, PASSWORD.encode()))
        assert lines[-1].startswith(b"in OK"), lines
        return client

    async def select(self, folder: bytes = b"INBOX", account: Target | None = None) -> Client:
        """A connection that has signed in and selected a folder."""
        client = await self.sign_in(account)
        lines = await client.command(b"se SELECT " + folder)
        assert lines[-1].startswith(b"se OK"), lines
        return client

    async def deliver(self, *contents: bytes, account: Target | None = None) -> None:
        """Deliver messages as the delivering process does, and tell the door."""
        ref = ref_of(account or self.anna)
        deliveries = []
        for content in contents:
            self._receipts += 1
            receipt = self._receipts.to_bytes(16, "big")
            deliveries.append(Delivery(receipt, 0, self.clock.now_us(), content))
        await asyncio.to_thread(self.cell.deliver, [MailboxBatch(ref, deliveries)])
        await asyncio.to_thread(self.cell.sync)
        self.hall.hear((ref.mailbox,))

    async def mend_cell(self) -> None:
        """Mend it, and wait until that has been noticed."""
        self.volume.gate.mend()
        await self.reach(CellState.HEALTHY)

    async def reach(self, state: CellState) -> None:
        """Wait until the cell is seen in that state."""
        async with asyncio.timeout(PATIENCE_S):
            while self.accesses.of("c1").state is not state:  # noqa: ASYNC110
                await asyncio.sleep(0.005)


def make_target(address: str, mailbox: int, quota_bytes: int = 0) -> Target:
    """A mailbox on the rig's cell."""
    brand = address.partition("@")[2].partition(".")[0]
    return Target(
        mailbox,
        address,
        brand,
        "free",
        "c1",
        1_000 + mailbox,
        quota_bytes,
        1_000_000,
        MailboxState.ACTIVE,
    )


def ref_of(target: Target) -> MailboxRef:
    """The mailbox as cells know it."""
    return MailboxRef(target.mailbox, target.uid_validity, target.quota_bytes)


@asynccontextmanager
async def open_rig(
    root: Path,
    settings: ImapSettings | None = None,
    tls: ssl.SSLContext | None = None,
    access: AccessSettings = PATIENT,
) -> AsyncIterator[Rig]:
    """A rig in that directory, taken down afterwards."""
    rig = Rig(root, settings or ImapSettings(), tls, access)
    try:
        yield rig
    finally:
        rig.volume.gate.mend()
        await rig.hall.close(PATIENCE_S)
        await rig.accesses.close()
        await asyncio.to_thread(rig.cell.close)
