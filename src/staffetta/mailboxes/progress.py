"""How far a long piece of work is, so that whoever waits can be shown."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total`; `total` is 0 while it is not known. `what` names the current step."""

    done: int
    total: int
    what: str = ""


def finish(steps: Generator[Progress, None, T]) -> T:
    """Do the work to its end without telling anybody; returns its result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
