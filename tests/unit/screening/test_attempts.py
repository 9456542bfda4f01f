"""Guessing is slowed and stopped; mistyping, and a telephone with an old password, are not."""

from __future__ import annotations

import pytest

from staffetta.screening.attempts import AttemptLimits, Attempts


class HeldClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.at_s = 0.0

    def now_us(self) -> int:
        return int(self.at_s * 1e6)

    def monotonic_s(self) -> float:
        return self.at_s

    def utc_offset_s(self, at_us: int) -> int:
        return 0


class FixedEntropy:
    """Not random at all."""

    def token(self, size_bytes: int) -> bytes:
        return bytes(size_bytes)


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


def attempts_on(clock: HeldClock, limits: AttemptLimits | None = None) -> Attempts:
    return Attempts(clock, FixedEntropy(), limits or AttemptLimits())


def guess(attempts: Attempts, times: int, peer: str = "192.0.2.1", address: str = "a@x") -> None:
    for number in range(times):
        attempts.note_failure(peer, address, b"guess %d" % number)


def test_a_stranger_is_not_delayed(clock: HeldClock) -> None:
    assert attempts_on(clock).judge("192.0.2.1", "a@x").delay_s == 0


def test_each_wrong_password_doubles_the_delay_up_to_a_limit(clock: HeldClock) -> None:
    attempts = attempts_on(clock)
    delays = []
    for number in range(7):
        attempts.note_failure("192.0.2.1", "a@x", b"%d" % number)
        delays.append(attempts.judge("192.0.2.1", "A@x").delay_s)
    assert delays == [0.5, 1, 2, 4, 8, 8, 8]


def test_too_many_are_refused_from_that_peer_alone_and_only_for_that_address(
    clock: HeldClock,
) -> None:
    attempts = attempts_on(clock)
    guess(attempts, 10)
    assert attempts.judge("192.0.2.1", "a@x").refuse
    assert not attempts.judge("192.0.2.2", "a@x").refuse
    assert not attempts.judge("192.0.2.1", "b@x").refuse


def test_the_same_wrong_password_counts_once(clock: HeldClock) -> None:
    attempts = attempts_on(clock)
    for _ in range(100):
        attempts.note_failure("192.0.2.1", "a@x", b"last year's")
    assert not attempts.judge("192.0.2.1", "a@x").refuse


def test_success_and_time_forget(clock: HeldClock) -> None:
    attempts = attempts_on(clock)
    guess(attempts, 10)
    attempts.note_success("192.0.2.1", "a@x")
    assert not attempts.judge("192.0.2.1", "a@x").refuse
    guess(attempts, 10)
    clock.at_s += 901
    assert not attempts.judge("192.0.2.1", "a@x").refuse


def test_a_peer_that_fails_everywhere_is_slowed_everywhere_but_never_refused(
    clock: HeldClock,
) -> None:
    attempts = attempts_on(clock)
    for number in range(60):
        guess(attempts, 1, address=f"{number}@x")
    verdict = attempts.judge("192.0.2.1", "fresh@x")
    assert verdict.delay_s == 2
    assert not verdict.refuse


def test_a_host_of_ipv6_is_its_network(clock: HeldClock) -> None:
    attempts = attempts_on(clock)
    for number in range(10):
        attempts.note_failure(f"2001:db8::{number}", "a@x", b"%d" % number)
    assert attempts.judge("2001:db8::ffff", "a@x").refuse


def test_memory_is_bounded(clock: HeldClock) -> None:
    attempts = attempts_on(clock, AttemptLimits(remembered_max=10))
    for number in range(100):
        guess(attempts, 1, peer=f"192.0.2.{number}")
    assert attempts.judge("192.0.2.99", "a@x").delay_s > 0
    assert attempts.judge("192.0.2.0", "a@x").delay_s == 0
