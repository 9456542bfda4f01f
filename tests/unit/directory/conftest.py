from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from staffetta.directory.accounts import NewMailbox
from tests.directory_world import World, lay_out


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    lay_out(made.directory)
    yield made
    made.close()


@pytest.fixture
def add(world: World) -> Callable[..., int]:
    def add_mailbox(address: str, **values: str) -> int:
        return world.directory.accounts.add(NewMailbox(address, **values)).mailbox

    return add_mailbox
