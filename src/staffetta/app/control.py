"""How our own processes are asked and told things: a Unix socket each, one JSON line each way.

A request is `{"do": NAME, …}`; an answer is a table, with `error` in it where it failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

import msgspec

from staffetta.app.roles.contract import Command
from staffetta.runtime.net import bind_unix, connect_unix

LINE_BYTES_MAX = 4 * 1024 * 1024
SUPERVISOR_SOCKET = "supervisor.sock"


class NoAnswer(Exception):
    """The process is not there, or did not answer in time."""


def socket_path(run: Path, role: str, index: int) -> Path:
    """The control socket of one process."""
    return run / f"{role}-{index}.sock"


def ask(path: Path, request: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
    """Ask a process and wait for its answer. Raises `NoAnswer`."""
    try:
        with connect_unix(path, timeout_s) as endpoint:
            endpoint.sendall(msgspec.json.encode(request) + b"\n")
            line = _receive_line(endpoint)
        answer = msgspec.json.decode(line)
    except (OSError, msgspec.MsgspecError) as error:
        raise NoAnswer(f"{path.name}: {error}") from error
    assert isinstance(answer, dict), answer
    return answer


def _receive_line(endpoint: socket.socket) -> bytes:
    received = bytearray()
    while not received.endswith(b"\n"):
        chunk = endpoint.recv(65_536)
        if not chunk or len(received) > LINE_BYTES_MAX:
            raise OSError("closed before the end of the answer")
        received += chunk
    return bytes(received)


class ControlServer:
    """Answers on the control socket of one process, on its event loop."""

    def __init__(self, path: Path, commands: MutableMapping[str, Command]) -> None:
        self._path = path
        self._commands = commands
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to answer. Raises `OSError`."""
        self._server = await asyncio.start_unix_server(
            self._serve, sock=bind_unix(self._path), limit=LINE_BYTES_MAX
        )

    def close(self) -> None:
        """Answer no more, and take the socket away."""
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            try:
                line = await reader.readline()
                if line:
                    writer.write(msgspec.json.encode(await self._answer(line), enc_hook=str))
                    writer.write(b"\n")
                    await writer.drain()
            finally:
                writer.close()

    async def _answer(self, line: bytes) -> Mapping[str, Any]:
        try:
            request = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            return {"error": str(error)}
        command = self._commands.get(str(request.pop("do", "")))
        if command is None:
            return {"error": f"unknown; known: {', '.join(sorted(self._commands))}"}
        try:
            return await command(request)
        except Exception as error:  # the asker hears of it; this process goes on
            return {"error": f"{type(error).__name__}: {error}"}
