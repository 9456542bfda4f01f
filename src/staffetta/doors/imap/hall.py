"""What all sessions of one process share, and the list of them."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Protocol

from staffetta.directory.catalogue import Catalogue
from staffetta.doors.imap.flags import FlagTables
from staffetta.doors.imap.outage import Alerts
from staffetta.doors.imap.settings import ImapSettings
from staffetta.doors.imap.view import ImageShelf
from staffetta.mailboxes.access import CellAccesses
from staffetta.runtime.clock import Clock
from staffetta.runtime.notify import Notifier
from staffetta.runtime.telemetry import Logger, Metrics
from staffetta.screening.sign_in import SignInDesk


class Guest(Protocol):
    """A connection, as the hall sees it."""

    __slots__ = ()

    def wake(self) -> None:
        """The selected mailbox may have changed."""
        ...

    def sweep(self, now_s: float) -> None:
        """Some time has passed."""
        ...

    def dismiss(self) -> None:
        """The server is going: say BYE as soon as the running command allows."""
        ...


class Figures:
    """The door's counters."""

    __slots__ = ("bugs", "commands", "sign_ins", "sign_ins_failed", "unavailable")

    def __init__(self, metrics: Metrics) -> None:
        self.commands = metrics.tally("imap_commands", "Commands obeyed")
        self.sign_ins = metrics.tally("imap_sign_ins", "Sign-ins", outcome="ok")
        self.sign_ins_failed = metrics.tally("imap_sign_ins", "Sign-ins", outcome="refused")
        self.unavailable = metrics.tally("imap_unavailable", "Commands answered UNAVAILABLE")
        self.bugs = metrics.tally("imap_bugs", "Connections dropped because of a bug")


class Hall:
    """The surroundings of every session of one process. Lives on one event loop."""

    def __init__(
        self,
        settings: ImapSettings,
        clock: Clock,
        desk: SignInDesk,
        catalogue: Callable[[], Catalogue],
        cells: CellAccesses,
        notifier: Notifier,
        logger: Logger,
        metrics: Metrics,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.desk = desk
        self.catalogue = catalogue
        self.cells = cells
        self.notifier = notifier
        self.logger = logger
        self.figures = Figures(metrics)
        self.tls = tls
        self.images = ImageShelf()
        self.tables = FlagTables()
        self.alerts = Alerts(clock)
        self._guests: set[Guest] = set()
        self._by_address: Counter[str] = Counter()
        self._by_mailbox: dict[int, set[Guest]] = {}
        self._exempt = [ipaddress.ip_network(network) for network in settings.address_limit_exempt]
        self._changed: set[int] = set()
        self._waking: dict[Guest, None] = {}
        self._closing = False
        self._empty = asyncio.Event()
        metrics.gauge("imap_connections", "Open connections", lambda: len(self._guests))
        metrics.gauge(
            "imap_signed_in", "Connections signed in",
            lambda: sum(map(len, self._by_mailbox.values())),
        )  # fmt: skip

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._guests)

    def admit(self, guest: Guest, address: str) -> str:
        """Count a connection in. Returns why it may not stay; empty: welcome."""
        self._guests.add(guest)
        self._by_address[address] += 1
        if self._closing:
            return "Server is shutting down"
        if len(self._guests) > self.settings.connections_max:
            return "Too many connections, please try again later"
        if self._by_address[
            address
        ] > self.settings.connections_per_address_max and not self._is_exempt(address):
            return "Too many connections from your address"
        return ""

    def see_off(self, guest: Guest, address: str) -> None:
        """The connection is over."""
        self._guests.discard(guest)
        self._waking.pop(guest, None)
        self._by_address[address] -= 1
        if self._by_address[address] <= 0:
            del self._by_address[address]
        if self._closing and not self._guests:
            self._empty.set()

    def seat(self, guest: Guest, mailbox: int) -> bool:
        """A connection has signed in to that mailbox. False: there are too many already."""
        guests = self._by_mailbox.setdefault(mailbox, set())
        if len(guests) >= self.settings.sessions_per_mailbox_max:
            return False
        guests.add(guest)
        return True

    def unseat(self, guest: Guest, mailbox: int) -> None:
        """It is signed in no more."""
        guests = self._by_mailbox.get(mailbox)
        if guests is not None:
            guests.discard(guest)
            if not guests:
                del self._by_mailbox[mailbox]

    def note_change(self, mailbox: int) -> None:
        """One of our sessions has changed that mailbox: tell ours and the other processes'."""
        self.notifier.announce((mailbox,))
        self.hear((mailbox,))

    def hear(self, mailboxes: Iterable[int]) -> None:
        """These mailboxes have changed: sessions in IDLE look, a moment later and once."""
        waiting = bool(self._changed)
        self._changed.update(self._by_mailbox.keys() & mailboxes)
        if self._changed and not waiting:
            loop = asyncio.get_running_loop()
            loop.call_later(self.settings.wake_delay_s, self._wake_changed)

    def sweep(self) -> None:
        """Called every few seconds: time-outs, heartbeats, looks that nobody asked for."""
        now_s = self.clock.monotonic_s()
        for guest in tuple(self._guests):
            guest.sweep(now_s)

    async def close(self, deadline_s: float) -> None:
        """Take nobody in, say BYE to everybody, and wait until they have gone."""
        self._closing = True
        for guest in tuple(self._guests):
            guest.dismiss()
        if self._guests:
            async with asyncio.timeout(deadline_s):
                await self._empty.wait()

    def wake_soon(self, guests: Iterable[Guest]) -> None:
        """Have them look, a few at a time, so that news for everybody does not flood the cells."""
        were_waiting = bool(self._waking)
        self._waking.update(dict.fromkeys(guests))
        if self._waking and not were_waiting:
            self._wake_some()

    def _wake_changed(self) -> None:
        changed, self._changed = self._changed, set()
        for mailbox in changed:
            self.wake_soon(self._by_mailbox.get(mailbox, ()))

    def _wake_some(self) -> None:
        for guest in list(islice(self._waking, self.settings.woken_at_once)):
            del self._waking[guest]
            guest.wake()
        if self._waking:
            loop = asyncio.get_running_loop()
            loop.call_later(self.settings.wake_delay_s, self._wake_some)

    def _is_exempt(self, address: str) -> bool:
        try:
            host = ipaddress.ip_address(address)
        except ValueError:
            return True  # a Unix socket or a test: no address to count
        return any(host in network for network in self._exempt)
