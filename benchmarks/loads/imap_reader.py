"""An IMAP client that reads as fast as it can and understands only tagged answers."""

from __future__ import annotations

import re
import socket
import ssl
from dataclasses import dataclass

from benchmarks.peers.port import Door, PeerFault

CHUNK_BYTES = 1 << 20
SMALL_CHUNK_BYTES = 4096
TAIL_BYTES = 4096
TIMEOUT_S = 120.0
ASKED_AT_ONCE = 100
STATUS_MESSAGES = re.compile(rb"\* STATUS [^\r\n]*MESSAGES (\d+)", re.IGNORECASE)


class ImapRefusal(PeerFault):
    """The server said NO; the text is its answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The size of an answer and its end (at least the tagged line)."""

    size_bytes: int
    tail: bytes


class ImapReader:
    """One connection. Every answer is read whole and, but for its end, thrown away."""

    def __init__(
        self, door: Door, tls: ssl.SSLContext | None = None, chunk_bytes: int = CHUNK_BYTES
    ) -> None:
        plain = socket.create_connection((door.host, door.port), timeout=TIMEOUT_S)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket: socket.socket = tls.wrap_socket(plain) if tls else plain
        self._tag = 0
        self._view = memoryview(bytearray(chunk_bytes))
        greeting = self._socket.recv(4096)
        if not greeting.startswith(b"* OK"):
            raise PeerFault(f"IMAP greeting of {door}: {greeting[:100]!r}")

    def log_in(self, user: str, password: str) -> None:
        """LOGIN."""
        self.ask(f'LOGIN "{user}" "{password}"'.encode())

    def ask(self, command: bytes) -> Answer:
        """Send one command and read up to its tagged OK.

        Raises :class:`ImapRefusal` on NO and :class:`PeerFault` on BAD.
        """
        self.put(command)
        return self.take()

    def put(self, command: bytes) -> None:
        """Send a command without waiting; answers are taken in the same order."""
        self._tag += 1
        self._socket.sendall(b"zq%d %s\r\n" % (self._tag, command))

    def take(self) -> Answer:
        """Read up to the tagged answer of the last command put."""
        mark = b"zq%d " % self._tag
        view = self._view
        size, tail = 0, b"\r\n"
        while True:
            count = self._socket.recv_into(view)
            if not count:
                raise PeerFault(f"IMAP connection closed after {size} bytes: {tail[-200:]!r}")
            size += count
            tail = (tail + view[max(0, count - TAIL_BYTES) : count])[-TAIL_BYTES:]
            if not tail.endswith(b"\r\n"):
                continue
            start = tail.rfind(b"\r\n" + mark)
            if start < 0:
                continue
            status = tail[start + 2 + len(mark) :][:3]
            if status == b"NO ":
                raise ImapRefusal(f"IMAP answer: {tail[start + 2 :][:200]!r}")
            if status != b"OK ":
                raise PeerFault(f"IMAP answer: {tail[start + 2 :][:200]!r}")
            return Answer(size, tail)

    def fetch_text(self, command: bytes, size_max: int = 1 << 20) -> bytes:
        """The whole answer of a command whose answer is small."""
        self.put(command)
        mark = b"\r\nzq%d " % self._tag
        found = b"\r\n"
        while mark not in found or not found.endswith(b"\r\n"):
            chunk = self._socket.recv(65536)
            if not chunk or len(found) > size_max:
                raise PeerFault(f"IMAP answer to {command!r}: {found[-200:]!r}")
            found += chunk
        return found

    def enter_idle(self) -> None:
        """Send IDLE and read the continuation."""
        self.put(b"IDLE")
        found = b""
        while b"+ " not in found and not found.startswith(b"+"):
            chunk = self._socket.recv(4096)
            if not chunk:
                raise PeerFault(f"IMAP connection closed at IDLE: {found!r}")
            found += chunk

    def leave_idle(self) -> None:
        """Send DONE and read the tagged answer of IDLE."""
        self._socket.sendall(b"DONE\r\n")
        self.take()

    def close(self) -> None:
        """Close without ceremony."""
        self._socket.close()


def read_message_count(answer: Answer) -> int:
    """The MESSAGES of a STATUS answer."""
    found = STATUS_MESSAGES.search(answer.tail)
    if not found:
        raise PeerFault(f"no MESSAGES in {answer.tail[-200:]!r}")
    return int(found[1])


class StatusSweep:
    """One signed-in connection for each mailbox, asked how many messages it has, many at once."""

    def __init__(self, door: Door, users: list[str], password: str) -> None:
        self._readers: dict[str, ImapReader] = {}
        for user in users:
            reader = ImapReader(door, chunk_bytes=SMALL_CHUNK_BYTES)
            reader.log_in(user, password)
            self._readers[user] = reader

    def count(self, users: list[str]) -> dict[str, int]:
        """Messages in the INBOX of each of ``users``."""
        counts: dict[str, int] = {}
        for first in range(0, len(users), ASKED_AT_ONCE):
            asked = users[first : first + ASKED_AT_ONCE]
            for user in asked:
                self._readers[user].put(b"STATUS INBOX (MESSAGES)")
            for user in asked:
                counts[user] = read_message_count(self._readers[user].take())
        return counts

    def close(self) -> None:
        """Close all connections."""
        for reader in self._readers.values():
            reader.close()
