"""Sockets: taken ports are named, processes share a port, long Unix paths work, TLS is ours."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from staffetta.runtime.net import (
    UNIX_PATH_BYTES_MAX,
    BoundSocket,
    Listening,
    PortRefused,
    PortTaken,
    bind,
    bind_unix,
    connect_unix,
)


@pytest.fixture
def free() -> Listening:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Listening("smtp", "127.0.0.1", probe.getsockname()[1])


@pytest.fixture
def closing() -> Iterator[list[BoundSocket]]:
    opened: list[BoundSocket] = []
    yield opened
    for bound in opened:
        bound.socket.close()


def test_a_taken_port_is_named(free: Listening, closing: list[BoundSocket]) -> None:
    closing += bind(free)
    with pytest.raises(PortTaken) as caught:
        bind(free)
    assert caught.value.listening == free


def test_sharers_share_but_nobody_else_does(free: Listening, closing: list[BoundSocket]) -> None:
    closing += bind(free, sharers=3)
    assert len(closing) == 3
    for sharers in (1, 2):
        with pytest.raises(PortTaken):
            bind(free, sharers)


def test_clients_wait_in_the_queue_of_a_bound_socket(
    free: Listening, closing: list[BoundSocket]
) -> None:
    closing += bind(free)
    with socket.create_connection((free.address, free.port), timeout=5):
        connection, _ = closing[0].socket.accept()
        connection.close()


def test_an_address_of_somebody_else_is_refused() -> None:
    with pytest.raises(PortRefused) as caught:
        bind(Listening("imap", "192.0.2.1", 20_143))
    assert "Cannot assign" in caught.value.detail


@pytest.mark.parametrize("name_length", [1, 60])
def test_unix_sockets_of_any_length(tmp_path: Path, name_length: int) -> None:
    directory = tmp_path / ("d" * 100) / ("e" * 100)
    path = directory / ("s" * name_length)
    assert len(str(path)) > UNIX_PATH_BYTES_MAX
    for _ in range(2):  # the second time in place of the first
        with (
            bind_unix(path) as server,
            connect_unix(path, timeout_s=5) as client,
        ):
            connection, _ = server.accept()
            with connection:
                client.sendall(b"hello")
                assert connection.recv(5) == b"hello"
    assert path.stat().st_mode & 0o777 == 0o600


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        connect_unix(tmp_path / "nobody", timeout_s=1)
