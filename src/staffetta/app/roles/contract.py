"""What a role is, and what it is given.

A role is the work of one process. `app.roles.host` runs it: makes the event loop (uvloop),
the logger, the metrics and the volumes, calls `start`, answers `/healthz`, `/metrics` and the
control socket, and on SIGTERM calls `drain`. A role never installs signal handlers, never ends
the process itself and never reads the configuration file.

Every role module has `def build(context: RoleContext) -> Role`.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from staffetta.app.config import Config
from staffetta.runtime.clock import Clock
from staffetta.runtime.disk import Volume
from staffetta.runtime.entropy import Entropy
from staffetta.runtime.net import BoundSocket, Listening
from staffetta.runtime.telemetry import Logger, Metrics

# Partition numbers of the log: one for each process that writes.
PARTITION_OFFSETS = {"accept": 1, "deliver": 64, "access": 128}


class CellState(msgspec.Struct, frozen=True, kw_only=True):
    """A cell as one process sees it. None: this process does not know that."""

    state: str  # healthy, suspect, down
    detail: str = ""
    since_us: int = 0
    lag_messages: int | None = None  # accepted, neither delivered nor held
    oldest_waiting_s: float | None = None


class DirectoryState(msgspec.Struct, frozen=True, kw_only=True):
    """The recipient table of one process. Not fresh: no `550 5.1.1` from it."""

    version: int
    fresh: bool
    mailboxes: int = 0
    age_s: float = 0.0


class RoleState(msgspec.Struct, frozen=True, kw_only=True):
    """What a role says about itself: for `/healthz` and `staffetta status`.

    `working` is False when the role cannot do its own work (then `/healthz` says 503); a
    broken cell is not a reason. `numbers` are a few figures worth seeing at a glance.
    """

    working: bool = True
    detail: str = ""
    cells: Mapping[str, CellState] = msgspec.field(default_factory=dict)
    directory: DirectoryState | None = None
    numbers: Mapping[str, float] = msgspec.field(default_factory=dict)


# A command of the control socket: named fields in, named fields out; both must be JSON.
Command = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


class Volumes(Protocol):
    """The storage of this process. Faults ordered by `cell break` act on these objects."""

    @property
    def log(self) -> Volume:
        """The log's volume."""
        ...

    @property
    def directory(self) -> Volume:
        """Where the authority over brands and people is: not on the accept path."""
        ...

    @property
    def replica(self) -> Volume:
        """Where each process keeps its own copy of the recipient table."""
        ...

    @property
    def checkpoints(self) -> Volume:
        """Where delivery notes how far it is: on the log's side, never in a cell."""
        ...

    def cell(self, name: str) -> Volume:
        """The volume of a cell: the same object each time it is asked for."""
        ...


@dataclass(frozen=True, slots=True)
class RoleContext:
    """All that a role gets from outside.

    `sockets` holds the bound sockets by door (`smtp`, `lmtp`, `imap`, `imaps`, `http`), to be
    given to `runtime.net.open_servers`. `siblings` is how many processes this role has;
    `index` is this one's, from 0. `tls` stays the same object when certificates are renewed.
    `commands` are the role's own commands of the control socket: put them in at `start`.
    `give_up` ends this process when it must not go on (a failed fsync): the parent starts a
    new one; it may be called from any thread and returns.
    """

    role: str
    index: int
    siblings: int
    partition: int
    host_name: str
    config: Config
    clock: Clock
    entropy: Entropy
    logger: Logger
    metrics: Metrics
    volumes: Volumes
    sockets: Mapping[str, Sequence[BoundSocket]]
    tls: ssl.SSLContext
    commands: MutableMapping[str, Command]
    give_up: Callable[[str], None]


class Role(Protocol):
    """One process's work. All methods are called on its event loop's thread."""

    async def start(self) -> None:
        """Open what is needed and serve. When it returns, the process is ready.

        Raises whatever makes starting impossible: the process ends and is tried again.
        """
        ...

    async def drain(self, deadline_s: float) -> None:
        """Take nothing new, finish what is begun, close. The process ends when it returns,
        and in any case after `deadline_s`."""
        ...

    def reload(self, config: Config) -> None:
        """The configuration or the directory changed. Limits apply from now on; ports, roles
        and places on disk do not change in a running process."""
        ...

    def state(self) -> RoleState:
        """How it is going; cheap, never blocks, never touches a disk."""
        ...

    def listeners(self) -> Sequence[Listening]:
        """Where this role is reached now."""
        ...
