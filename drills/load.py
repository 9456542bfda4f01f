"""Senders and readers of a drill: what was answered to each message, and what is in mailboxes.

Every message carries an id of its own in its header and its body, so that each copy found in a
mailbox can be counted and its bytes compared.
"""

from __future__ import annotations

import asyncio
import hashlib
import imaplib
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from drills.service import PASSWORD, Account

ANSWER_TIMEOUT_S = 60.0
ID_FIELD = "X-Drill-Id"


@dataclass(slots=True)
class Sent:
    """One message that was offered. `receipt` is empty while it was not answered 250."""

    drill_id: str
    recipients: tuple[str, ...]
    content_sha256: str
    receipt: str = ""
    refusal: str = ""
    answered_at_s: float = 0.0
    latency_s: float = 0.0


@dataclass(slots=True)
class Tally:
    """What the senders saw."""

    sent: list[Sent] = field(default_factory=list)
    cut: int = 0  # connections that ended before an answer

    def accepted(self) -> list[Sent]:
        """Answered 250."""
        return [one for one in self.sent if one.receipt]

    def refused(self) -> list[Sent]:
        """Answered 4xx or 5xx."""
        return [one for one in self.sent if one.refusal]

    def percentile_s(self, share: float, since_s: float = 0.0, until_s: float = 1e18) -> float:
        """That percentile of the time from the final dot to the 250, of a span of time."""
        times = sorted(
            one.latency_s for one in self.accepted() if since_s <= one.answered_at_s < until_s
        )
        return times[min(int(len(times) * share), len(times) - 1)] if times else 0.0


class Senders:
    """Concurrent SMTP clients that send until they are told to stop."""

    def __init__(
        self,
        port: int,
        accounts: Sequence[Account],
        seed: int,
        *,
        sessions: int = 8,
        body_bytes: int = 2_000,
        pause_s: float = 0.0,
    ) -> None:
        self.tally = Tally()
        self._port = port
        self._accounts = accounts
        self._random = random.Random(seed)
        self._sessions = sessions
        self._body_bytes = body_bytes
        self._pause_s = pause_s
        self._stopping = False
        self._counter = 0
        self._seed = seed

    async def run(self) -> None:
        """Send until `stop`."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._sessions):
                group.create_task(self._session())

    def stop(self) -> None:
        """Finish the message under way, then end."""
        self._stopping = True

    async def _session(self) -> None:
        while not self._stopping:
            try:
                await self._connection()
            except (OSError, asyncio.IncompleteReadError, TimeoutError):
                self.tally.cut += 1
                await asyncio.sleep(0.05)

    async def _connection(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            await _reply(reader)
            await _ask(reader, writer, "EHLO drill.example")
            while not self._stopping:
                await self._message(reader, writer)
                if self._pause_s:
                    await asyncio.sleep(self._pause_s)
            writer.write(b"QUIT\r\n")
        finally:
            writer.close()

    async def _message(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._counter += 1
        drill_id = f"{self._seed}-{self._counter:08d}"
        count = 1 if self._random.random() < 0.8 else self._random.randint(2, 4)
        recipients = tuple(one.address for one in self._random.sample(list(self._accounts), count))
        content = _content(drill_id, self._random.randint(200, self._body_bytes))
        sent = Sent(drill_id, recipients, hashlib.sha256(content).hexdigest())
        self.tally.sent.append(sent)
        commands = ["MAIL FROM:<drill@elsewhere.example>"]
        commands += [f"RCPT TO:<{address}>" for address in recipients]
        for command in (*commands, "DATA"):
            code, text = await _ask(reader, writer, command)
            if code >= 400:
                sent.refusal = f"{code} {text}"
                await _ask(reader, writer, "RSET")
                return
        began_s = time.monotonic()
        writer.write(content + b".\r\n")
        code, text = await _reply(reader)
        sent.answered_at_s = time.monotonic()
        sent.latency_s = sent.answered_at_s - began_s
        if code == 250:
            sent.receipt = text.split()[1]
        else:
            sent.refusal = f"{code} {text}"


def _content(drill_id: str, size_bytes: int) -> bytes:
    filler = (f"{drill_id} la posta arriva comunque\r\n" * (size_bytes // 30 + 1)).encode()
    return (
        f"From: drill@elsewhere.example\r\n{ID_FIELD}: {drill_id}\r\n"
        f"Message-ID: <{drill_id}@elsewhere.example>\r\nSubject: prova {drill_id}\r\n\r\n"
    ).encode() + filler


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, command: str
) -> tuple[int, str]:
    writer.write(command.encode() + b"\r\n")
    return await _reply(reader)


async def _reply(reader: asyncio.StreamReader) -> tuple[int, str]:
    async with asyncio.timeout(ANSWER_TIMEOUT_S):
        while True:
            line = (await reader.readuntil(b"\r\n")).decode("ascii", "replace").rstrip()
            if line[3:4] != "-":
                return int(line[:3]), line[4:]


@dataclass(slots=True)
class Found:
    """What is in the mailboxes: copies by (address, drill id), and what is wrong with them."""

    copies: Counter[tuple[str, str]] = field(default_factory=Counter)
    sha256: dict[tuple[str, str], str] = field(default_factory=dict)
    uid_problems: list[str] = field(default_factory=list)


def read_mailbox(port: int, address: str, into: Found) -> None:
    """Read the INBOX of one mailbox by IMAP, whole."""
    client = imaplib.IMAP4("127.0.0.1", port, timeout=60)
    client.login(address, PASSWORD)
    client.select("INBOX", readonly=True)
    _, rows = client.fetch("1:*", "(UID BODY.PEEK[])")
    last_uid = 0
    for row in rows:
        if not isinstance(row, tuple):
            continue
        uid = int(row[0].split(b"UID ")[1].split()[0])
        if uid <= last_uid:
            into.uid_problems.append(f"{address}: UID {uid} after {last_uid}")
        last_uid = uid
        content = row[1]
        own = content[content.index(b"From: drill@") :]
        drill_id = own.split(f"{ID_FIELD}: ".encode(), 1)[1].split(b"\r\n", 1)[0].decode()
        into.copies[address, drill_id] += 1
        into.sha256[address, drill_id] = hashlib.sha256(own).hexdigest()
    client.logout()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The sums of a drill: `lost` and `twice` must be 0."""

    offered: int
    accepted_messages: int
    accepted_recipients: int
    refused: int
    in_mailboxes: int
    lost: int
    twice: int
    changed_bytes: int
    uid_problems: int


def judge(tally: Tally, found: Found) -> Verdict:
    """Compare what was answered 250 with what is in the mailboxes."""
    lost = twice = changed = recipients = 0
    for sent in tally.accepted():
        for address in sent.recipients:
            recipients += 1
            copies = found.copies[address, sent.drill_id]
            lost += copies == 0
            twice += copies > 1
            same = found.sha256.get((address, sent.drill_id)) == sent.content_sha256
            changed += copies > 0 and not same
    return Verdict(
        len(tally.sent),
        len(tally.accepted()),
        recipients,
        len(tally.refused()),
        sum(found.copies.values()),
        lost,
        twice,
        changed,
        len(found.uid_problems),
    )
