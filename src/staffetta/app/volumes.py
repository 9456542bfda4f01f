"""The storage of one process: its volumes, and the faults that are ordered for the cells.

`staffetta cell break` writes the orders to a file in the run directory. Every process reads
it when it starts, is told to read it again through its control socket, and looks for itself
several times a second, so that even a process whose event loop is stuck gets them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path

import msgspec

from staffetta.app.config import Config
from staffetta.runtime.disk import DirectoryVolume
from staffetta.runtime.faults import FaultMode
from staffetta.runtime.processes import repeat_on_thread

ORDERS_FILE = "faults.json"
WATCH_INTERVAL_S = 0.15


class FaultOrders(msgspec.Struct, frozen=True):
    """Which cells are to be broken, and how. `serial` grows with every change."""

    serial: int = 0
    cells: Mapping[str, FaultMode] = msgspec.field(default_factory=dict)


def read_orders(run: Path) -> FaultOrders:
    """The orders in force; none where there is no file. Raises `OSError` otherwise."""
    try:
        content = (run / ORDERS_FILE).read_bytes()
    except FileNotFoundError:
        return FaultOrders()
    return msgspec.json.decode(content, type=FaultOrders)


def order(run: Path, cell: str, mode: FaultMode | None) -> FaultOrders:
    """Break the cell in that way, or mend it (None), and return all orders in force."""
    before = read_orders(run)
    cells = {name: other for name, other in before.cells.items() if name != cell}
    if mode is not None:
        cells[cell] = mode
    orders = FaultOrders(before.serial + 1, cells)
    run.mkdir(parents=True, exist_ok=True)
    temporary = run / f"{ORDERS_FILE}.{os.getpid()}"
    temporary.write_bytes(msgspec.json.encode(orders))
    temporary.rename(run / ORDERS_FILE)
    return orders


class StorageVolumes:
    """The volumes that a configuration names, as directories of this machine."""

    def __init__(self, config: Config) -> None:
        data = config.data
        self._config = config
        self._lock = threading.Lock()
        self._cells: dict[str, DirectoryVolume] = {}
        self._orders = FaultOrders()
        self._seen: tuple[int, int] | None = None
        log = Path(config.log.directory) if config.log.directory else data.log
        log.mkdir(parents=True, exist_ok=True)  # its room is measured before its first file
        self.log = DirectoryVolume("log", log)
        self.directory = DirectoryVolume("directory", data.directory)
        self.replica = DirectoryVolume("replica", data.replica)
        self.checkpoints = DirectoryVolume("checkpoints", data.deliver)
        self.obey()

    def cell(self, name: str) -> DirectoryVolume:
        """The volume of a cell; the same object each time. May be called from any thread."""
        with self._lock:
            volume = self._cells.get(name)
            if volume is None:
                own = self._config.cells.get(name)
                root = Path(own.directory) if own and own.directory else None
                volume = DirectoryVolume(name, root or self._config.data.cells / name)
                _apply(volume, self._orders.cells.get(name))
                self._cells[name] = volume
            return volume

    def obey(self) -> FaultOrders:
        """Read the orders and set the gates accordingly; returns what is in force now."""
        run = self._config.data.run
        try:
            facts = os.stat(run / ORDERS_FILE)
            seen = (facts.st_ino, facts.st_mtime_ns)
        except OSError:
            seen = None
        if seen == self._seen:
            return self._orders
        try:
            orders = read_orders(run)
        except (OSError, msgspec.MsgspecError):
            return self._orders  # half-written by hand, or gone: what was in force stays so
        with self._lock:
            self._orders = orders
            self._seen = seen
            for name, volume in self._cells.items():
                _apply(volume, orders.cells.get(name))
        return orders

    def watch(self) -> None:
        """From now on, look for new orders several times a second, on a thread."""
        repeat_on_thread(self.obey, WATCH_INTERVAL_S, "fault-orders")


def _apply(volume: DirectoryVolume, mode: FaultMode | None) -> None:
    if mode is None:
        if volume.gate.mode is not None:
            volume.gate.mend()
    elif volume.gate.mode is not mode:
        volume.gate.break_(mode)
