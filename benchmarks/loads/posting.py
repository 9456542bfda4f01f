"""Letters put into a mailbox by SMTP or LMTP, pipelined, from several threads; never measured."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from benchmarks.loads.mail import Letter
from benchmarks.peers.port import Door, PeerFault

TIMEOUT_S = 120.0
SESSIONS = 16


def post(
    letters: list[Letter],
    recipient: str,
    door: Door,
    lmtp: bool = False,
    sessions: int = SESSIONS,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Send all letters to one recipient. Raises :class:`PeerFault` at the first refusal."""
    shares = [letters[first::sessions] for first in range(sessions)]

    def post_share(share: list[Letter]) -> None:
        for _ in _post_share(share, recipient, door, lmtp):
            if progress:
                progress(1)

    with ThreadPoolExecutor(sessions) as pool:
        for future in [pool.submit(post_share, share) for share in shares if share]:
            future.result()


def _post_share(share: list[Letter], recipient: str, door: Door, lmtp: bool) -> Iterator[None]:
    with socket.create_connection((door.host, door.port), timeout=TIMEOUT_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        replies = _read_replies(connection)
        next(replies)
        connection.sendall(b"LHLO bench\r\n" if lmtp else b"EHLO bench\r\n")
        next(replies)
        for letter in share:
            envelope = f"MAIL FROM:<{letter.sender}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n"
            connection.sendall(envelope.encode())
            for _ in range(3):
                next(replies)
            connection.sendall(letter.content.replace(b"\r\n.", b"\r\n..") + b".\r\n")
            next(replies)
            yield
        connection.sendall(b"QUIT\r\n")
        next(replies)


def _read_replies(connection: socket.socket) -> Iterator[bytes]:
    """The last line of each reply. Raises :class:`PeerFault` on 4xx and 5xx."""
    pending = b""
    while chunk := connection.recv(65536):
        pending += chunk
        *lines, pending = pending.split(b"\r\n")
        for line in lines:
            if line[:1] not in b"23":
                raise PeerFault(f"refused: {line.decode(errors='replace')}")
            if line[3:4] != b"-":
                yield line
    raise PeerFault("connection closed while a reply was awaited")
