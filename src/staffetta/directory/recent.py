"""A bounded memory of recent answers, cheap enough for every RCPT."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Keeps at most twice `generation_max` values, dropping those not asked for lately.

    Two generations instead of a linked list: a hit in the young one is a single lookup; when it
    is full it becomes the old one, and what is still asked for is carried over. Hits take no
    lock. `put` takes the epoch that was read before the value was, so that a value that was
    read before a `forget` cannot arrive after it.
    """

    __slots__ = ("_generation_max", "_lock", "_old", "_young", "epoch")

    def __init__(self, generation_max: int) -> None:
        self._generation_max = generation_max
        self._lock = threading.Lock()
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}
        self.epoch = 0

    def get(self, key: K) -> V | None:
        """The remembered value, or None."""
        value = self._young.get(key)
        if value is None and self._old:
            epoch = self.epoch
            value = self._old.get(key)
            if value is not None:
                self.put(key, value, epoch)
        return value

    def put(self, key: K, value: V, epoch: int) -> None:
        """Remember a value, unless something was forgotten since `epoch`."""
        with self._lock:
            if epoch != self.epoch:
                return
            if len(self._young) >= self._generation_max:
                self._old, self._young = self._young, {}
            self._young[key] = value

    def forget(self, touched: Callable[[K, V], bool]) -> None:
        """Drop the values of which `touched` says yes."""
        with self._lock:
            self.epoch += 1
            for generation in (self._young, self._old):
                for key in [key for key, value in generation.items() if touched(key, value)]:
                    del generation[key]

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self.epoch += 1
            self._young, self._old = {}, {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)
