"""Connections between the outside and the simulated processes, cut wherever the seed likes.

Octets arrive in pieces of any size, in order, after some time. A connection can be broken after
any octet in either direction; each end hears of that in its own time, and what was under way is
lost.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Any

from tests.sim.loop import SimLoop
from tests.sim.machine import Process
from tests.sim.scheduler import Scheduler

LATENCY_S = 0.002
PIECES_MAX = 4
# How long after a cut the far end may go on without hearing of it.
NEWS_S = 1.0


class Stream:
    """One direction of a connection."""

    def __init__(
        self, scheduler: Scheduler, chance: random.Random, arrive: Callable[[bytes], object]
    ) -> None:
        self._scheduler = scheduler
        self._chance = chance
        self._arrive = arrive
        self._last_us = 0
        self.arrived_bytes = 0
        self.broken = False
        self.cut_after_bytes: int | None = None  # of all that is sent; the rest is lost
        self.cut: Callable[[], None] = lambda: None

    def send(self, octets: bytes) -> None:
        """Put octets on their way, in pieces."""
        cuts = sorted(self._chance.randrange(len(octets) + 1) for _ in range(self._pieces()))
        for start, end in zip([0, *cuts], [*cuts, len(octets)], strict=True):
            if start < end:
                self._schedule(lambda piece=octets[start:end]: self._land(piece))  # type: ignore[misc]

    def send_end(self, call: Callable[[], object]) -> None:
        """Have something happen at the far end when all that was sent has arrived."""
        self._schedule(call)

    def _pieces(self) -> int:
        return self._chance.randrange(PIECES_MAX)

    def _schedule(self, call: Callable[[], object]) -> None:
        now_us = self._scheduler.now_us
        # One microsecond apart at least, so that pieces keep their order.
        arrival_us = now_us + int(self._chance.random() * LATENCY_S * 1_000_000)
        self._last_us = max(self._last_us + 1, arrival_us)
        self._scheduler.at(self._last_us, call)

    def _land(self, piece: bytes) -> None:
        if self.broken:
            return
        limit = self.cut_after_bytes
        if limit is not None and self.arrived_bytes + len(piece) >= limit:
            piece = piece[: limit - self.arrived_bytes]
            self.broken = True
        self.arrived_bytes += len(piece)
        if piece:
            self._arrive(piece)
        if self.broken:
            self.cut()


class ServerTransport(asyncio.Transport):
    """The server's end, as asyncio's protocols know it."""

    def __init__(self, link: Link, peer: str) -> None:
        super().__init__({"peername": (peer, 40_000)})
        self._link = link
        self._closing = False
        self._paused = False
        self._held: list[bytes] = []
        self._protocol: asyncio.Protocol | None = None

    def begin(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol
        protocol.connection_made(self)

    def receive(self, octets: bytes) -> None:
        self._held.append(octets)
        self._hand_over()

    def _hand_over(self) -> None:
        while self._held and not self._paused and self._protocol is not None and not self._closing:
            self._protocol.data_received(self._held.pop(0))

    def receive_end(self) -> None:
        if self._protocol is not None and not self._closing and not self._protocol.eof_received():
            self.close()

    def lose(self, error: Exception | None) -> None:
        protocol, self._protocol = self._protocol, None
        self._closing = True
        if protocol is not None:
            protocol.connection_lost(error)

    def write(self, data: Any) -> None:
        if not self._closing:
            self._link.to_client.send(bytes(data))

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._link.to_client.send_end(self._link.client.receive_end)
            self._link.process.loop.call_soon(self.lose, None)

    def abort(self) -> None:
        if not self._closing:
            self._closing = True
            self._link.break_()

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        if self._paused:
            self._paused = False
            self._link.process.loop.call_soon(self._hand_over)


class ClientEnd:
    """The client's end: lines to read, octets to write."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self._octets = bytearray()
        self._ended = False
        self._awaited: deque[asyncio.Future[None]] = deque()
        self.link: Link | None = None
        self.sent_bytes = 0

    def write(self, octets: bytes) -> None:
        """Raises `ConnectionResetError` when the connection is known to be gone."""
        assert self.link is not None
        if self._ended:
            raise ConnectionResetError
        self.sent_bytes += len(octets)
        self.link.to_server.send(octets)

    async def read_line(self) -> bytes:
        """The next line. Raises `ConnectionResetError` when there will be none."""
        while (end := self._octets.find(b"\r\n")) < 0:
            if self._ended:
                raise ConnectionResetError
            news = self._loop.create_future()
            self._awaited.append(news)
            await news
        line = bytes(self._octets[:end])
        del self._octets[: end + 2]
        return line

    def close(self) -> None:
        """Say that nothing more will come."""
        if not self._ended and self.link is not None:
            self._ended = True
            link = self.link
            link.to_server.send_end(lambda: link.process.loop.call_soon(link.server.receive_end))

    def receive(self, octets: bytes) -> None:
        self._octets += octets
        self._tell()

    def receive_end(self) -> None:
        self._ended = True
        self._tell()

    def _tell(self) -> None:
        while self._awaited:
            news = self._awaited.popleft()
            if not news.done():
                news.set_result(None)


class Link:
    """One connection."""

    def __init__(
        self,
        scheduler: Scheduler,
        chance: random.Random,
        process: Process,
        client: ClientEnd,
        peer: str,
    ) -> None:
        self._scheduler = scheduler
        self._chance = chance
        self.process = process
        self.client = client
        self.server = ServerTransport(self, peer)
        loop = process.loop
        self.to_server = Stream(
            scheduler, chance, lambda octets: loop.call_soon(self.server.receive, octets)
        )
        self.to_client = Stream(scheduler, chance, client.receive)
        self.to_server.cut = self.to_client.cut = self.break_
        client.link = self

    def break_(self) -> None:
        """Cut it: nothing arrives any more, and both ends hear of it sooner or later."""
        self.to_server.broken = self.to_client.broken = True
        self._scheduler.after(self._chance.random() * NEWS_S, self.client.receive_end)
        self.process.loop.call_later(
            self._chance.random() * NEWS_S, self.server.lose, ConnectionResetError()
        )


class Network:
    """Who listens where, and the connections there are."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._chance = scheduler.stream("network")
        self._listeners: dict[str, tuple[Process, Callable[[], asyncio.Protocol]]] = {}
        self._links: list[Link] = []

    def listen(self, name: str, process: Process, factory: Callable[[], asyncio.Protocol]) -> None:
        """Take connections to that name until the process ends."""
        self._listeners[name] = (process, factory)
        process.at_end.append(lambda: self._drop(process))

    async def connect(self, name: str, loop: SimLoop, peer: str) -> ClientEnd:
        """Connect from outside. Raises `ConnectionRefusedError`."""
        await asyncio.sleep(self._chance.random() * LATENCY_S)
        if name not in self._listeners:
            raise ConnectionRefusedError
        process, factory = self._listeners[name]
        client = ClientEnd(loop)
        link = Link(self._scheduler, self._chance, process, client, peer)
        self._links.append(link)
        process.loop.call_soon(lambda: link.server.begin(factory()))
        return client

    def _drop(self, process: Process) -> None:
        gone = [name for name, (owner, _) in self._listeners.items() if owner is process]
        for name in gone:
            del self._listeners[name]
        for link in [link for link in self._links if link.process is process]:
            self._links.remove(link)
            link.break_()
