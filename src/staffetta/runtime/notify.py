"""Telling other processes of this machine that a mailbox has changed.

Wire format: one datagram on a Unix socket is a row of mailbox ids, each an unsigned 64-bit
integer, little-endian, without anything between or around them; at most
`IDS_PER_DATAGRAM_MAX`. Listeners sit at `<directory>/access-<index>.notify`.

Lossy by design: a datagram that does not fit into a listener's queue is dropped, and a process
that is not there hears nothing. Whoever listens looks for itself now and then as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Protocol

from staffetta.runtime.clock import Clock
from staffetta.runtime.net import bind_unix, unix_address

IDS_PER_DATAGRAM_MAX = 1_024
ID_SIZE_BYTES = 8
DATAGRAMS_PER_WAKE_MAX = 64
RECEIVE_BUFFER_BYTES = 1 << 20
LISTENERS_REFRESH_S = 1.0
LISTENER_PATTERN = "access-*.notify"


def listener_path(directory: Path, index: int) -> Path:
    """Where the access process of that index listens."""
    return directory / f"access-{index}.notify"


def encode_ids(mailboxes: Collection[int]) -> list[bytes]:
    """The datagrams that name these mailboxes."""
    ids = sorted(mailboxes)
    return [
        b"".join(
            mailbox.to_bytes(ID_SIZE_BYTES, "little")
            for mailbox in ids[start : start + IDS_PER_DATAGRAM_MAX]
        )
        for start in range(0, len(ids), IDS_PER_DATAGRAM_MAX)
    ]


def decode_ids(datagram: bytes) -> list[int]:
    """The mailboxes that a datagram names; a broken tail is left out."""
    whole = len(datagram) - len(datagram) % ID_SIZE_BYTES
    return [
        int.from_bytes(datagram[start : start + ID_SIZE_BYTES], "little")
        for start in range(0, whole, ID_SIZE_BYTES)
    ]


class Notifier(Protocol):
    """Says that mailboxes have changed. Never blocks, never fails, may be unheard."""

    def announce(self, mailboxes: Collection[int]) -> None:
        """These mailboxes have something new."""
        ...


class SilentNotifier:
    """For processes whose news nobody needs."""

    def announce(self, mailboxes: Collection[int]) -> None:
        return


class SocketNotifier:
    """Sends to every listener of a directory but, where `own_path` is given, that one.

    May be used from any thread.
    """

    def __init__(self, directory: Path, clock: Clock, own_path: Path | None = None) -> None:
        self._directory = directory
        self._clock = clock
        self._own_path = own_path
        self._listeners: tuple[Path, ...] = ()
        self._refresh_at_s = clock.monotonic_s()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def announce(self, mailboxes: Collection[int]) -> None:
        now_s = self._clock.monotonic_s()
        if now_s >= self._refresh_at_s:
            self._refresh_at_s = now_s + LISTENERS_REFRESH_S
            self._listeners = self._find_listeners()
        if not self._listeners:
            return
        for datagram in encode_ids(mailboxes):
            for listener in self._listeners:
                # A full queue or an absent listener: it looks for itself before long.
                with contextlib.suppress(OSError), unix_address(listener) as address:
                    self._socket.sendto(datagram, address)

    def close(self) -> None:
        """Send nothing more."""
        self._socket.close()

    def _find_listeners(self) -> tuple[Path, ...]:
        try:
            return tuple(
                path
                for path in sorted(self._directory.glob(LISTENER_PATTERN))
                if path != self._own_path
            )
        except OSError:
            return ()


class SocketListener:
    """Hears what notifiers say and calls `heard` on the event loop's thread.

    `heard` gets each mailbox once for a row of datagrams that came together.
    """

    def __init__(
        self, path: Path, loop: asyncio.AbstractEventLoop, heard: Callable[[set[int]], None]
    ) -> None:
        self._path = path
        self._loop = loop
        self._heard = heard
        self._socket = bind_unix(path, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        loop.add_reader(self._socket.fileno(), self._receive)

    def close(self) -> None:
        """Hear nothing more."""
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def _receive(self) -> None:
        mailboxes: set[int] = set()
        for _ in range(DATAGRAMS_PER_WAKE_MAX):
            try:
                datagram = self._socket.recv(IDS_PER_DATAGRAM_MAX * ID_SIZE_BYTES)
            except (BlockingIOError, InterruptedError):
                break
            mailboxes.update(decode_ids(datagram))
        if mailboxes:
            self._heard(mailboxes)
