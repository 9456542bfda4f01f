"""Servers that send mail here, and behave as real ones do: they try again until they know.

A sender keeps its message until a `250` for it has arrived or a permanent no. After a 4yz, a
connection that was refused or cut, or too long a silence it waits and comes back with the same
message. What it knows in the end is the measure of what must be in the mailboxes.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from tests.sim.loop import SimLoop
from tests.sim.network import ClientEnd, Network
from tests.sim.scheduler import Scheduler

SILENCE_S = 10.0  # RFC 5321 §4.5.3.2 asks for ten minutes after the final dot
RETRY_S = (2.0, 30.0)
DAWDLE_S = 0.01


class Mishap(Enum):
    """What happens to one attempt."""

    NONE = "none"
    WHILE_SENDING = "cut while sending"
    AFTER_DOT = "cut around the commit"  # the message has arrived whole
    ANSWER_LOST = "answer lost"  # the server wrote it, or will
    AFTER_ANSWER = "cut after the answer"


@dataclass(slots=True)
class Post:
    """One message and all that its sender knows of it."""

    number: int
    reverse_path: str
    addresses: tuple[str, ...]
    content: bytes  # as it must be in the mailboxes, after the trace header
    recognisable: bool  # it has a Message-ID
    tries_max: int = 1_000
    tries: int = 0
    answers: dict[str, str] = field(default_factory=dict)  # address → receipt, or a 5yz reply
    unanswered: int = 0  # tries that may have arrived whole, and got no answer
    together: set[tuple[str, ...]] = field(default_factory=set)  # who was accepted in one try
    gave_up: bool = False

    @property
    def outstanding(self) -> tuple[str, ...]:
        """For whom the sender still has the message."""
        return tuple(address for address in self.addresses if address not in self.answers)

    @property
    def settled(self) -> bool:
        return self.gave_up or not self.outstanding


class TryLater(Exception):
    """The server said 4yz, or the connection is not usable any more."""


@dataclass(frozen=True, slots=True)
class Reply:
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Habits:
    """How a sender goes about it: who it is, whom it calls, how long it waits at most."""

    name: str
    peer: str
    server: str
    pause_s: float
    retry_s: tuple[float, float]


class Sender:
    """Sends its posts one after the other, several over one connection if it likes."""

    def __init__(
        self,
        scheduler: Scheduler,
        network: Network,
        loop: SimLoop,
        habits: Habits,
        posts: Sequence[Post],
        mishaps: Sequence[Mishap],
    ) -> None:
        """`mishaps` are drawn from for each attempt."""
        self._scheduler = scheduler
        self._network = network
        self._loop = loop
        self._habits = habits
        self.name = habits.name
        self.posts = list(posts)
        self._mishaps = mishaps
        self._chance = scheduler.stream(f"sender {habits.name}")
        self.calm = False
        self.task = loop.create_task(self._run())

    @property
    def done(self) -> bool:
        return self.task.done()

    async def _run(self) -> None:
        waiting = list(self.posts)
        while waiting:
            await asyncio.sleep(self._chance.random() * self._habits.pause_s)
            try:
                await self._call(waiting)
            except (ConnectionError, TryLater, TimeoutError):
                await asyncio.sleep(self._chance.uniform(*self._habits.retry_s))
            waiting = [post for post in waiting if not post.settled]

    async def _call(self, waiting: Sequence[Post]) -> None:
        """One connection, with one or more posts over it."""
        client = await self._network.connect(self._habits.server, self._loop, self._habits.peer)
        try:
            _expect(await self.reply(client), 220)
            client.write(b"EHLO sender.example\r\n")
            _expect(await self.reply(client), 250)
            for post in waiting:
                await Attempt(self, client, post, self._chance, self._draw()).run()
                if self._chance.random() < 0.5:
                    break
            if self._chance.random() < 0.7:
                client.write(b"QUIT\r\n")
                await self.reply(client)
        finally:
            client.close()

    def _draw(self) -> Mishap:
        return Mishap.NONE if self.calm else self._chance.choice(self._mishaps)

    def note(self, what: str) -> None:
        """For the trace."""
        self._scheduler.trace(f"{self.name} {what}")

    def cut_later(self, cut: Callable[[], None], delay_s: float) -> None:
        """Have a connection cut after a while."""
        self._scheduler.after(delay_s, cut)

    async def reply(self, client: ClientEnd) -> Reply:
        """The next reply, its lines as one. Raises `ConnectionResetError`, `TimeoutError`."""
        async with asyncio.timeout(SILENCE_S):
            while True:
                line = (await client.read_line()).decode()
                if line[3:4] != "-":
                    self._scheduler.trace(f"{self.name} hears {line}")
                    return Reply(int(line[:3]), line[4:])


class Attempt:
    """One try at one post over an open connection."""

    def __init__(
        self, sender: Sender, client: ClientEnd, post: Post, chance: random.Random, mishap: Mishap
    ) -> None:
        self._sender = sender
        self._client = client
        self._post = post
        self._chance = chance
        self._mishap = mishap

    async def run(self) -> None:
        """Raises `ConnectionError`, `TryLater`, `TimeoutError`."""
        post, client = self._post, self._client
        assert client.link is not None
        post.tries += 1
        self._sender.note(f"tries post {post.number}, {self._mishap.value}")
        if post.tries >= post.tries_max:
            post.gave_up = True
        if self._mishap is Mishap.WHILE_SENDING:
            size_bytes = len(post.content) + 60 * (len(post.addresses) + 2)
            client.link.to_server.cut_after_bytes = client.sent_bytes + self._chance.randrange(
                size_bytes
            )
        wanted = post.outstanding
        accepted = await self._envelope(wanted)
        if not accepted:
            client.write(b"RSET\r\n")
            await self._sender.reply(client)
            return
        octets, chunks = await self._content()
        self._plan_cut(len(octets))
        post.unanswered += 1
        post.together.add(accepted)
        client.write(octets)
        for _ in range(chunks - 1):
            _expect(await self._sender.reply(client), 250)
        reply = await self._sender.reply(client)
        post.unanswered -= 1
        if reply.code == 250:
            for address in accepted:
                post.answers[address] = reply.text.rpartition(" ")[2]
        elif reply.code >= 500:
            for address in accepted:
                post.answers[address] = f"{reply.code} {reply.text}"
        if self._mishap is Mishap.AFTER_ANSWER:
            client.link.break_()
            raise ConnectionResetError
        if reply.code == 421 or self._post.outstanding:
            raise TryLater

    def _plan_cut(self, size_bytes: int) -> None:
        link = self._client.link
        assert link is not None
        match self._mishap:
            case Mishap.AFTER_DOT:
                whole = self._client.sent_bytes + size_bytes
                stream = link.to_server
                stream.cut_after_bytes = whole
                delay_s = self._chance.random() * DAWDLE_S
                stream.cut = lambda: self._sender.cut_later(link.break_, delay_s)
            case Mishap.ANSWER_LOST:
                # In the middle of the answer, or before its first octet.
                back = link.to_client
                back.cut_after_bytes = back.arrived_bytes + self._chance.randrange(20)
            case _:
                pass

    async def _envelope(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """MAIL and RCPT, one by one or together; returns those who were accepted."""
        client, post = self._client, self._post
        commands = [f"MAIL FROM:<{post.reverse_path}>"]
        commands += [f"RCPT TO:<{address}>" for address in wanted]
        replies: list[Reply] = []
        if self._chance.random() < 0.5:
            client.write("".join(command + "\r\n" for command in commands).encode())
            replies = [await self._sender.reply(client) for _ in commands]
        else:
            for command in commands:
                client.write(command.encode() + b"\r\n")
                replies.append(await self._sender.reply(client))
        _expect(replies[0], 250)
        accepted = []
        for address, reply in zip(wanted, replies[1:], strict=True):
            if reply.code in (250, 251):
                accepted.append(address)
            elif reply.code >= 500:
                post.answers[address] = f"{reply.code} {reply.text}"
        return tuple(accepted)

    async def _content(self) -> tuple[bytes, int]:
        """What goes over the wire for the content, and how many replies that gets."""
        content = self._post.content
        if self._chance.random() < 0.3:
            half = self._chance.randrange(len(content) + 1)
            first, second = content[:half], content[half:]
            chunks = (len(first), first, len(second), second)
            return b"BDAT %d\r\n%sBDAT %d LAST\r\n%s" % chunks, 2
        self._client.write(b"DATA\r\n")
        _expect(await self._sender.reply(self._client), 354)
        stuffed = content.replace(b"\r\n.", b"\r\n..")
        if stuffed.startswith(b"."):
            stuffed = b"." + stuffed
        return stuffed + b".\r\n", 1


def _expect(reply: Reply, code: int) -> None:
    if reply.code != code:
        raise TryLater(f"{reply.code} {reply.text}")
