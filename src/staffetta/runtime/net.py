"""The net: listening sockets, TLS, and the sockets by which our own processes talk.

Listening sockets are bound by the parent process and inherited, so that a port that is taken
is known before anything starts, and connections made while a process is being replaced wait in
the kernel instead of being refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

BACKLOG_CONNECTIONS = 1024
# sun_path of unix(7) holds 108 bytes, the closing NUL among them.
UNIX_PATH_BYTES_MAX = 107


@dataclass(frozen=True, slots=True)
class Listening:
    """One listener: which door, where. `tls` is `none`, `starttls` or `implicit`."""

    door: str
    address: str
    port: int
    tls: str = "none"


@dataclass(frozen=True, slots=True)
class BoundSocket:
    """A listener and the socket that is bound for it."""

    listening: Listening
    socket: socket.socket


class PortTaken(Exception):
    """Somebody else listens there already."""

    def __init__(self, listening: Listening) -> None:
        super().__init__(f"{listening.door}: {listening.address} port {listening.port} is taken")
        self.listening = listening


class PortRefused(Exception):
    """The machine does not let us listen there (rights, or no such address)."""

    def __init__(self, listening: Listening, detail: str) -> None:
        super().__init__(f"{listening.door}: {listening.address} port {listening.port}: {detail}")
        self.listening = listening
        self.detail = detail


def bind(listening: Listening, sharers: int = 1) -> list[BoundSocket]:
    """Bind and listen: one socket for each of the processes that share the port.

    Raises `PortTaken` or `PortRefused`; nothing stays open then.
    """
    if sharers == 1:
        return [_bind_one(listening, reuse_port=False)]
    # SO_REUSEPORT would let us in beside another service of the same user: ask without it.
    _bind_one(listening, reuse_port=False).socket.close()
    bound: list[BoundSocket] = []
    try:
        for _ in range(sharers):
            bound.append(_bind_one(listening, reuse_port=True))
    except (PortTaken, PortRefused):
        for one in bound:
            one.socket.close()
        raise
    return bound


def _bind_one(listening: Listening, reuse_port: bool) -> BoundSocket:
    family = socket.AF_INET6 if ":" in listening.address else socket.AF_INET
    endpoint = socket.socket(family, socket.SOCK_STREAM)
    try:
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            endpoint.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        endpoint.bind((listening.address, listening.port))
        endpoint.listen(BACKLOG_CONNECTIONS)
        endpoint.setblocking(False)
    except OSError as error:
        endpoint.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(listening) from error
        raise PortRefused(listening, os.strerror(error.errno or 0)) from error
    return BoundSocket(listening, endpoint)


async def open_servers(
    sockets: Sequence[BoundSocket],
    protocol: Callable[[], asyncio.Protocol],
    tls: ssl.SSLContext | None = None,
    handshake_timeout_s: float = 30.0,
) -> list[asyncio.Server]:
    """Serve each of the bound sockets with a fresh protocol object for every connection.

    The sockets are duplicated, so that a server may be closed and opened again.
    """
    loop = asyncio.get_running_loop()
    servers: list[asyncio.Server] = []
    for bound in sockets:
        implicit = bound.listening.tls == "implicit"
        servers.append(
            await loop.create_server(
                protocol,
                sock=bound.socket.dup(),
                backlog=BACKLOG_CONNECTIONS,
                ssl=tls if implicit else None,
                ssl_handshake_timeout=handshake_timeout_s if implicit and tls else None,
            )
        )
    return servers


def server_tls(certificate: Path, key: Path) -> ssl.SSLContext:
    """A context for our side of TLS 1.2 and above (RFC 8314 4.1, RFC 9325 3.1.1).

    Raises `OSError` (`ssl.SSLError` among them) where the files are not a certificate and key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    load_certificate(context, certificate, key)
    return context


def load_certificate(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Use this certificate for handshakes from now on. Raises `OSError`."""
    context.load_cert_chain(certificate, key)


@contextlib.contextmanager
def unix_address(path: Path) -> Iterator[str]:
    """The address of a Unix socket file, however long its path is.

    Valid within the block: a long path is reached through its directory's descriptor.
    """
    if len(os.fsencode(path)) <= UNIX_PATH_BYTES_MAX:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def bind_unix(path: Path, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A Unix socket bound to that file, in place of what a dead process may have left there.

    `kind` is `SOCK_STREAM` (listening already) or `SOCK_DGRAM`; readable by its owner only.
    Raises `OSError`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    endpoint = socket.socket(socket.AF_UNIX, kind)
    try:
        with unix_address(path) as address:
            endpoint.bind(address)
        path.chmod(0o600)
        if kind == socket.SOCK_STREAM:
            endpoint.listen(BACKLOG_CONNECTIONS)
        endpoint.setblocking(False)
    except OSError:
        endpoint.close()
        raise
    return endpoint


def connect_unix(path: Path, timeout_s: float, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A blocking socket connected to that file, with a timeout on all it does.

    Raises `OSError` where nobody listens.
    """
    endpoint = socket.socket(socket.AF_UNIX, kind)
    endpoint.settimeout(timeout_s)
    try:
        with unix_address(path) as address:
            endpoint.connect(address)
    except OSError:
        endpoint.close()
        raise
    return endpoint
