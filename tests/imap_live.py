"""An IMAP door that listens: for clients that are programs of their own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from staffetta.app.certificates import ensure_certificate
from staffetta.app.config import Config
from staffetta.doors.imap.connection import ImapConnection
from staffetta.runtime.clock import SystemClock
from staffetta.runtime.net import BoundSocket, Listening, bind, open_servers, server_tls
from tests.imap_rig import Rig, open_rig

T = TypeVar("T")

START_S = 60.0


@dataclass(frozen=True)
class LiveDoor:
    """Where it listens, and the rig behind it."""

    port: int
    tls_port: int
    certificate: Path
    rig: Rig
    loop: asyncio.AbstractEventLoop

    def run(self, work: Callable[[Rig], Coroutine[Any, Any, T]]) -> T:
        """Do something with the rig, on its own loop."""
        return asyncio.run_coroutine_threadsafe(work(self.rig), self.loop).result(START_S)


@contextmanager
def serve(root: Path) -> Iterator[LiveDoor]:
    """A door on free ports of loopback, in a thread of its own."""
    config = Config(data_directory=str(root))
    certificate, key = ensure_certificate(config, "localhost", SystemClock())
    ready = threading.Event()
    found: list[LiveDoor] = []
    failed: list[BaseException] = []
    stop: list[Callable[[], object]] = []

    async def run() -> None:
        tls = server_tls(certificate, key)
        async with open_rig(root, tls=tls) as rig:
            sockets = [_bind("imap", "starttls"), _bind("imaps", "implicit")]
            servers = await open_servers(sockets, lambda: ImapConnection(rig.hall), tls)
            ports = [bound.socket.getsockname()[1] for bound in sockets]
            loop = asyncio.get_running_loop()
            over = asyncio.Event()
            stop.append(lambda: loop.call_soon_threadsafe(over.set))
            found.append(LiveDoor(ports[0], ports[1], certificate, rig, loop))
            ready.set()
            await over.wait()
            for server in servers:
                server.close()
            for bound in sockets:
                bound.socket.close()

    def main() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(run())
        except BaseException as error:
            failed.append(error)
            raise
        finally:
            ready.set()

    thread = threading.Thread(target=main, name="imap-door", daemon=True)
    thread.start()
    assert ready.wait(START_S)
    assert found, failed
    try:
        yield found[0]
    finally:
        stop[0]()
        thread.join(START_S)
        assert not failed, failed


def _bind(door: str, tls: str) -> BoundSocket:
    (bound,) = bind(Listening(door, "127.0.0.1", _free_port(), tls))
    return bound


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
