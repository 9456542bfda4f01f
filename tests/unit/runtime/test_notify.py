"""What one process says of mailboxes, another hears: once, in any amount, or not at all."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from staffetta.runtime.clock import SystemClock
from staffetta.runtime.notify import (
    IDS_PER_DATAGRAM_MAX,
    SilentNotifier,
    SocketListener,
    SocketNotifier,
    decode_ids,
    encode_ids,
    listener_path,
)

IDS = st.sets(st.integers(min_value=0, max_value=2**64 - 1), max_size=50)


@given(IDS)
def test_ids_come_back(ids: set[int]) -> None:
    datagrams = encode_ids(ids)
    assert [one for datagram in datagrams for one in decode_ids(datagram)] == sorted(ids)


def test_many_ids_take_several_datagrams_of_bounded_size() -> None:
    datagrams = encode_ids(range(IDS_PER_DATAGRAM_MAX + 1))
    assert [len(datagram) for datagram in datagrams] == [IDS_PER_DATAGRAM_MAX * 8, 8]


def test_a_broken_tail_is_left_out() -> None:
    assert decode_ids(encode_ids([7])[0] + b"\1\2\3") == [7]


def test_ids_are_little_endian() -> None:
    assert encode_ids([1]) == [b"\1\0\0\0\0\0\0\0"]


def test_every_listener_but_ones_own_hears(tmp_path: Path) -> None:
    async def scenario() -> tuple[set[int], set[int]]:
        loop = asyncio.get_running_loop()
        heard: tuple[set[int], set[int]] = (set(), set())
        own = listener_path(tmp_path, 0)
        listeners = [
            SocketListener(listener_path(tmp_path, index), loop, heard[index].update)
            for index in (0, 1)
        ]
        notifier = SocketNotifier(tmp_path, SystemClock(), own)
        notifier.announce(range(3_000))
        while len(heard[1]) < 3_000:  # noqa: ASYNC110
            await asyncio.sleep(0)
        notifier.close()
        for listener in listeners:
            listener.close()
        return heard

    first, second = asyncio.run(scenario())
    assert first == set()
    assert second == set(range(3_000))


def test_a_listener_takes_the_place_of_one_that_was_killed(tmp_path: Path) -> None:
    path = listener_path(tmp_path, 0)
    path.write_bytes(b"")

    async def scenario() -> set[int]:
        heard: set[int] = set()
        listener = SocketListener(path, asyncio.get_running_loop(), heard.update)
        notifier = SocketNotifier(tmp_path, SystemClock())
        notifier.announce([5])
        while not heard:  # noqa: ASYNC110
            await asyncio.sleep(0)
        notifier.close()
        listener.close()
        return heard

    assert asyncio.run(scenario()) == {5}
    assert not path.exists()


def test_nobody_there_is_no_error(tmp_path: Path) -> None:
    notifier = SocketNotifier(tmp_path / "absent", SystemClock())
    notifier.announce([1])
    notifier.close()
    SilentNotifier().announce([1])
