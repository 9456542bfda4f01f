"""An HTTP server within an event loop that is already running: uvicorn, without its signals."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Generator, Sequence
from typing import Any

import uvicorn

START_TIMEOUT_S = 10.0


class _QuietServer(uvicorn.Server):
    """uvicorn's server, leaving the process's signal handlers alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.serving = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.serving.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class HttpServer:
    """Serves an ASGI application on sockets that are bound already."""

    def __init__(
        self,
        application: Any,
        sockets: Sequence[socket.socket],
        requests_max: int,
        drain_s: int = 3,
    ) -> None:
        config = uvicorn.Config(
            application,
            loop="none",
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=requests_max,
            timeout_graceful_shutdown=drain_s,
        )
        self._server = _QuietServer(config)
        self._sockets = [one.dup() for one in sockets]
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serve from when this returns. Raises `TimeoutError` if that takes too long."""
        self._task = asyncio.ensure_future(self._server.serve(self._sockets))
        async with asyncio.timeout(START_TIMEOUT_S):
            await self._server.serving.wait()

    async def stop(self) -> None:
        """Take no new requests, let those under way end (for `drain_s`), close."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
