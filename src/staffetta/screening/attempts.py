"""Slowing down those who guess passwords, without locking out those who mistype.

Failures are counted for each pair of peer network and address, so that thousands of people
behind one provider's addresses do not answer for each other. The same wrong password again and
again (a telephone that was not told of the new one) is one failure. Peers with very many
failures of any kind are slowed down, never refused.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

from staffetta.runtime.clock import Clock
from staffetta.runtime.entropy import Entropy

KEY_BYTES = 16
DIGEST_BYTES = 8
IPV6_NETWORK_BITS = 64


@dataclass(frozen=True, slots=True)
class AttemptLimits:
    """How patient to be; counts and seconds."""

    failures_max: int = 10
    forget_after_s: float = 900.0
    delay_first_s: float = 0.5
    delay_max_s: float = 8.0
    peer_failures_free: int = 50
    peer_delay_s: float = 2.0
    remembered_max: int = 100_000


@dataclass(frozen=True, slots=True)
class Patience:
    """What to do with an attempt: wait so long before the answer, or do not even look."""

    delay_s: float
    refuse: bool


class _Record:
    __slots__ = ("failures", "last_s", "passwords")

    def __init__(self) -> None:
        self.failures = 0
        self.last_s = 0.0
        self.passwords: set[bytes] = set()


class Attempts:
    """The failures of the last minutes, in memory; bounded, the oldest forgotten first."""

    def __init__(self, clock: Clock, entropy: Entropy, limits: AttemptLimits) -> None:
        self._clock = clock
        self._limits = limits
        self._key = entropy.token(KEY_BYTES)
        self._records: OrderedDict[tuple[str, str], _Record] = OrderedDict()

    def judge(self, peer: str, address: str) -> Patience:
        """Before looking at a password: may it be tried, and how long is the answer to wait?"""
        limits = self._limits
        network = _network(peer)
        record = self._find((network, address.lower()))
        if record is not None and record.failures >= limits.failures_max:
            return Patience(limits.delay_max_s, True)
        delay_s = 0.0
        if record is not None:
            delay_s = min(limits.delay_first_s * 2.0 ** (record.failures - 1), limits.delay_max_s)
        peers = self._find((network, ""))
        if peers is not None and peers.failures > limits.peer_failures_free:
            delay_s = max(delay_s, limits.peer_delay_s)
        return Patience(delay_s, False)

    def note_failure(self, peer: str, address: str, password: bytes) -> None:
        """A password was wrong, or the address is none of ours."""
        network = _network(peer)
        digest = hashlib.blake2b(password, digest_size=DIGEST_BYTES, key=self._key).digest()
        record = self._touch((network, address.lower()))
        if digest not in record.passwords:
            record.passwords.add(digest)
            record.failures += 1
            self._touch((network, "")).failures += 1

    def note_success(self, peer: str, address: str) -> None:
        """The right password: the pair starts afresh."""
        self._records.pop((_network(peer), address.lower()), None)

    def _find(self, key: tuple[str, str]) -> _Record | None:
        record = self._records.get(key)
        if record is None:
            return None
        if self._clock.monotonic_s() - record.last_s > self._limits.forget_after_s:
            del self._records[key]
            return None
        return record

    def _touch(self, key: tuple[str, str]) -> _Record:
        record = self._find(key)
        if record is None:
            record = self._records[key] = _Record()
            if len(self._records) > self._limits.remembered_max:
                self._records.popitem(last=False)
        self._records.move_to_end(key)
        record.last_s = self._clock.monotonic_s()
        return record


def _network(peer: str) -> str:
    """An IPv4 address as it is; of IPv6 the network, since a host may use all of it."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer
    if address.version == 4:
        return peer
    return str(ipaddress.ip_network((address, IPV6_NETWORK_BITS), strict=False))
