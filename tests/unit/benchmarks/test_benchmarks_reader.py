"""The IMAP client of the benchmarks against a server that answers in given pieces."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from benchmarks.loads.imap_reader import ImapReader, read_message_count
from benchmarks.peers.port import Door, PeerFault


@contextmanager
def answering(*pieces: bytes) -> Iterator[Callable[[], ImapReader]]:
    """A server that greets, reads one command and answers in these pieces."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.sendall(b"* OK ready\r\n")
                connection.recv(4096)
                for piece in pieces:
                    connection.sendall(piece)

        thread = threading.Thread(target=serve)
        thread.start()
        readers: list[ImapReader] = []

        def open_reader() -> ImapReader:
            readers.append(ImapReader(Door("127.0.0.1", port), chunk_bytes=16))
            return readers[-1]

        yield open_reader
        for reader in readers:
            reader.close()
        thread.join()


def test_an_answer_ends_with_the_tag_however_it_is_cut() -> None:
    pieces = (b"* STATUS INBOX (MESS", b"AGES 12)\r", b"\nzq", b"1 OK do", b"ne\r\n")
    with answering(*pieces) as open_reader:
        answer = open_reader().ask(b"STATUS INBOX (MESSAGES)")
    assert answer.size_bytes == len(b"".join(pieces))
    assert read_message_count(answer) == 12


def test_a_tag_inside_a_line_does_not_end_an_answer() -> None:
    with answering(b"* 1 FETCH (zq1 OK\r\n", b")\r\nzq1 OK done\r\n") as open_reader:
        assert open_reader().ask(b"FETCH 1 FLAGS").tail.endswith(b"zq1 OK done\r\n")


@pytest.mark.parametrize("answer", [b"zq1 NO not now\r\n", b"zq1 BAD what\r\n", b""])
def test_no_bad_and_the_end_are_faults(answer: bytes) -> None:
    with answering(answer) as open_reader, pytest.raises(PeerFault):
        open_reader().ask(b"NOOP")
