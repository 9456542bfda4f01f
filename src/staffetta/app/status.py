"""Asking a running service how it is, and putting the answers of its processes together.

Nothing here touches a cell: what is known of one comes from the processes that use it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from staffetta.app.config import Config
from staffetta.app.control import SUPERVISOR_SOCKET, NoAnswer, ask, socket_path
from staffetta.app.roles.contract import PARTITION_OFFSETS, CellState, DirectoryState
from staffetta.app.volumes import FaultOrders, StorageVolumes, read_orders
from staffetta.app.wiring import open_log_reader
from staffetta.directory.authority import DATABASE_PATH
from staffetta.directory.store import open_directory
from staffetta.log.port import LogDamaged
from staffetta.runtime.clock import SystemClock
from staffetta.runtime.entropy import SystemEntropy
from staffetta.runtime.faults import VolumeFault
from staffetta.runtime.net import Listening

ASK_TIMEOUT_S = 2.0
# The worst that any process says of a cell is what the cell is.
_BY_BADNESS = ("healthy", "suspect", "down")


class ProcessReport(msgspec.Struct, frozen=True, kw_only=True):
    """One process. `state`: waiting, starting, ready, draining, failed, stopped, or silent
    where it runs but does not answer."""

    role: str
    index: int
    pid: int
    state: str
    since_us: int
    restarts: int
    detail: str = ""
    numbers: Mapping[str, float] = msgspec.field(default_factory=dict)

    @property
    def name(self) -> str:
        """The process's name among its siblings."""
        return f"{self.role}-{self.index}"


class CellReport(msgspec.Struct, frozen=True, kw_only=True):
    """One cell. `state`: healthy, suspect, down, or unknown where no process uses it.

    `fault` is the mode in which it was broken on purpose, if it was.
    """

    name: str
    state: str
    detail: str = ""
    fault: str | None = None
    mailboxes: int | None = None
    lag_messages: int | None = None
    oldest_waiting_s: float | None = None
    seen_by: Mapping[str, str] = msgspec.field(default_factory=dict)


class PartitionReport(msgspec.Struct, frozen=True, kw_only=True):
    """One partition of the log: positions `first`…`last`."""

    partition: int
    writer: str
    first: int
    last: int
    entries: int
    bytes: int
    files: Sequence[str]


class ServiceReport(msgspec.Struct, frozen=True, kw_only=True):
    """The whole service, as `staffetta status --json` prints it."""

    data_directory: str
    port_base: int
    listeners: Sequence[Listening]
    processes: Sequence[ProcessReport]
    cells: Sequence[CellReport]
    log: Sequence[PartitionReport]
    directory: DirectoryState | None
    problems: Sequence[str]


class _Answer(msgspec.Struct):
    """What the control socket of a process says to `status`."""

    state: str
    detail: str = ""
    cells: dict[str, CellState] = msgspec.field(default_factory=dict)
    directory: DirectoryState | None = None
    numbers: dict[str, float] = msgspec.field(default_factory=dict)


class _Whole(msgspec.Struct):
    """What the parent says to `status`."""

    listeners: list[Listening]
    processes: list[ProcessReport]


def ask_parent(config: Config) -> tuple[list[Listening], list[ProcessReport]]:
    """What listens and what runs. Raises `NoAnswer` where no service does."""
    answer = ask(config.data.run / SUPERVISOR_SOCKET, {"do": "status"}, ASK_TIMEOUT_S)
    whole = msgspec.convert(answer, _Whole)
    return whole.listeners, whole.processes


def ask_each(
    config: Config, processes: Sequence[ProcessReport], request: Mapping[str, Any]
) -> dict[str, dict[str, Any] | NoAnswer]:
    """The answer of each process, by its name; all are asked at once."""

    def ask_one(process: ProcessReport) -> dict[str, Any] | NoAnswer:
        path = socket_path(config.data.run, process.role, process.index)
        try:
            return ask(path, request, ASK_TIMEOUT_S)
        except NoAnswer as none:
            return none

    if not processes:
        return {}
    with ThreadPoolExecutor(len(processes)) as pool:
        answers = pool.map(ask_one, processes)
        return {one.name: answer for one, answer in zip(processes, answers, strict=True)}


def report_service(config: Config) -> ServiceReport:
    """Everything. Raises `NoAnswer` where no service runs on that data directory."""
    listeners, processes = ask_parent(config)
    answers: dict[str, _Answer] = {}
    merged: list[ProcessReport] = []
    found = ask_each(config, [one for one in processes if one.pid], {"do": "status"})
    for process in processes:
        match found.get(process.name):
            case None:
                merged.append(process)
            case NoAnswer():
                state = "silent" if process.state == "ready" else process.state
                merged.append(msgspec.structs.replace(process, state=state))
            case answer:
                said = msgspec.convert(answer, _Answer)
                answers[process.name] = said
                merged.append(
                    msgspec.structs.replace(
                        process, state=said.state, detail=said.detail, numbers=said.numbers
                    )
                )
    problems: list[str] = []
    volumes = StorageVolumes(config)
    return ServiceReport(
        data_directory=config.data_directory,
        port_base=config.port_base,
        listeners=listeners,
        processes=merged,
        cells=_cells(config, answers, _occupancy(config, volumes, problems)),
        log=_log(config, volumes, problems),
        directory=_directory(answers),
        problems=problems,
    )


def known_cells(config: Config) -> list[str]:
    """The names of the cells of the directory, the configuration and the data directory."""
    names = set(_occupancy(config, StorageVolumes(config), [])) | set(config.cells)
    if config.data.cells.is_dir():
        names |= {path.name for path in config.data.cells.iterdir() if path.is_dir()}
    return sorted(names)


def _cells(
    config: Config, answers: Mapping[str, _Answer], occupancy: Mapping[str, int]
) -> list[CellReport]:
    try:
        orders = read_orders(config.data.run)
    except (OSError, msgspec.MsgspecError):
        orders = FaultOrders()
    seen = {process: answer.cells for process, answer in answers.items()}
    names = sorted({name for cells in seen.values() for name in cells} | occupancy.keys())
    reports: list[CellReport] = []
    for name in names:
        by_process = {one: cells[name] for one, cells in seen.items() if name in cells}
        states = sorted(by_process.values(), key=lambda state: _BY_BADNESS.index(state.state))
        lags = [one.lag_messages for one in states if one.lag_messages is not None]
        waits = [one.oldest_waiting_s for one in states if one.oldest_waiting_s is not None]
        mode = orders.cells.get(name)
        reports.append(
            CellReport(
                name=name,
                state=states[-1].state if states else "unknown",
                detail=states[-1].detail if states else "",
                fault=mode.value if mode else None,
                mailboxes=occupancy.get(name),
                lag_messages=sum(lags) if lags else None,
                oldest_waiting_s=max(waits) if waits else None,
                seen_by={one: state.state for one, state in by_process.items()},
            )
        )
    return reports


def _directory(answers: Mapping[str, _Answer]) -> DirectoryState | None:
    """The table of the process that is least up to date."""
    known = [answer.directory for answer in answers.values() if answer.directory is not None]
    return min(known, key=lambda one: (one.fresh, one.version), default=None)


def _occupancy(config: Config, volumes: StorageVolumes, problems: list[str]) -> dict[str, int]:
    try:
        if not volumes.directory.exists(DATABASE_PATH):
            return {}
        directory = open_directory(volumes.directory, SystemClock(), SystemEntropy())
        try:
            return {one.cell.name: one.mailboxes for one in directory.catalogue.occupancy()}
        finally:
            directory.close()
    except VolumeFault as fault:
        problems.append(str(fault))
        return {}


def _log(config: Config, volumes: StorageVolumes, problems: list[str]) -> list[PartitionReport]:
    reader = open_log_reader(config, volumes)
    reports: list[PartitionReport] = []
    try:
        for partition in reader.partitions():
            extent = reader.extent(partition)
            reports.append(
                PartitionReport(
                    partition=partition,
                    writer=writer_of(partition),
                    first=extent.first,
                    last=extent.last,
                    entries=extent.entries,
                    bytes=extent.size_bytes,
                    files=extent.files,
                )
            )
    except (VolumeFault, LogDamaged) as fault:
        problems.append(str(fault))
    return reports


def writer_of(partition: int) -> str:
    """The name of the process that writes a partition."""
    role, offset = max(
        ((role, offset) for role, offset in PARTITION_OFFSETS.items() if offset <= partition),
        key=lambda pair: pair[1],
    )
    return f"{role}-{partition - offset}"
