"""The parent: binds the ports, forks one process for each role, and keeps them running.

It imports everything the roles need before it forks, so that a process that was killed is
back within milliseconds; it has no threads, no event loop and no database of its own, so that
there is nothing in it that could hang. It holds the listening sockets: while a process is being
replaced, clients wait in the kernel's queue instead of being refused.
"""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from staffetta.app.config import PORT_OFFSETS, Config
from staffetta.app.config_file import RUNNING_CONFIG, ConfigRefused
from staffetta.app.control import SUPERVISOR_SOCKET
from staffetta.runtime import processes
from staffetta.runtime.clock import Clock
from staffetta.runtime.net import BoundSocket, Listening, bind, bind_unix
from staffetta.runtime.telemetry import Logger

LOCK_FILE = "service.lock"
LOCK_WAIT_S = 3.0
# A process that worked and then died is replaced at once: somebody killed it. One that dies
# again and again before it is ready is given more and more time.
DELAY_AFTER_READY_S = 0.05
DELAY_AFTER_READY_S_MAX = 0.25
DELAY_BEFORE_READY_S = 0.25
DELAY_BEFORE_READY_S_MAX = 5.0
HEALTHY_AFTER_S = 1.0
KILLED_WAIT_S = 1.0
CONTROL_TIMEOUT_S = 0.5
CONTROL_BYTES_MAX = 4096

# Which doors belong to which role.
DOORS = {"accept": ("smtp", "lmtp"), "deliver": (), "access": ("imap", "imaps", "http")}
TLS_OF_DOOR = {"smtp": "starttls", "lmtp": "starttls", "imap": "starttls", "imaps": "implicit"}

# Runs one role in this (forked) process and returns its exit code.
RunRole = Callable[["Assignment"], int]


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a new process is to be."""

    role: str
    index: int
    config: Config
    sockets: Mapping[str, Sequence[BoundSocket]]
    news: socket.socket  # JSON lines to the parent: {"state": …, "detail": …}


@dataclass(slots=True)
class Child:
    """One place in the service, and the process that fills it now."""

    role: str
    index: int
    sockets: dict[str, list[BoundSocket]]
    pid: int = 0
    state: str = "waiting"  # waiting, starting, ready, failed, draining, stopped
    detail: str = ""
    since_us: int = 0
    started_s: float = 0.0
    ready_s: float | None = None
    restarts: int = 0
    quick_deaths: int = 0
    start_at_s: float = 0.0
    news: socket.socket | None = None
    pending: bytes = b""

    @property
    def name(self) -> str:
        """The process's name among its siblings."""
        return f"{self.role}-{self.index}"


def plan_listeners(config: Config, role: str) -> list[Listening]:
    """The doors of a role that are to be open, wherever its processes run."""
    wanted = {
        "smtp": config.smtp.addresses,
        "lmtp": config.smtp.lmtp_addresses if config.smtp.lmtp else (),
        "imap": config.imap.addresses,
        "imaps": config.imap.addresses,
        "http": config.http.addresses,
    }
    return [
        Listening(door, address, config.port(door), TLS_OF_DOOR.get(door, "none"))
        for door in DOORS[role]
        for address in wanted[door]
    ]


def bind_role(config: Config, role: str) -> list[dict[str, list[BoundSocket]]]:
    """The sockets of each process of a role. Raises `PortTaken`, `PortRefused`."""
    count = config.processes(role)
    places: list[dict[str, list[BoundSocket]]] = [{} for _ in range(count)]
    for listening in plan_listeners(config, role):
        for place, bound in zip(places, bind(listening, count), strict=True):
            place.setdefault(listening.door, []).append(bound)
    door = f"{role}-health"
    assert door in PORT_OFFSETS
    for index, place in enumerate(places):
        for address in config.health.addresses:
            health = Listening(door, address, config.port(door) + index)
            place.setdefault(door, []).extend(bind(health))
    return places


@dataclass(slots=True)
class Supervisor:
    """See the module. `load` reads the configuration again; `run_role` is what a child does.

    `ready` is called once, when every process has become ready for the first time; until then,
    `trouble` hears of each process that ends, and why.
    """

    config: Config
    clock: Clock
    logger: Logger
    load: Callable[[], Config]
    run_role: RunRole
    ready: Callable[[Sequence[Listening]], None]
    trouble: Callable[[str, str], None] = lambda process, detail: None
    reopen: Callable[[], None] = lambda: None
    children: list[Child] = field(default_factory=list)
    stopping: bool = False
    _told_ready: bool = False
    _deadline_s: float = 0.0
    _killed: bool = False
    _control: socket.socket | None = None
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _signals: processes.SignalPipe | None = None

    def run(self, prepare: Callable[[], None]) -> None:
        """Run until told to stop. `prepare` is called before the first process is started.

        Raises `FileLocked`, `PortTaken`, `PortRefused` or `OSError` before anything is started.
        """
        run = self.config.data.run
        run.mkdir(parents=True, exist_ok=True, mode=0o700)
        processes.lock_file(self.config.data.root / LOCK_FILE, LOCK_WAIT_S)
        processes.raise_file_limit()
        for role in self.config.roles.run:
            for index, sockets in enumerate(bind_role(self.config, role)):
                self.children.append(Child(role, index, sockets))
        prepare()
        self._write_config()
        _remove_stale_sockets(run)
        self._control = bind_unix(run / SUPERVISOR_SOCKET)
        self._signals = processes.SignalPipe(
            (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
        )
        self._selector.register(self._signals, selectors.EVENT_READ, self._on_signal)
        self._selector.register(self._control, selectors.EVENT_READ, self._on_control)
        try:
            self._loop()
        finally:
            (run / SUPERVISOR_SOCKET).unlink(missing_ok=True)
            self._signals.close()

    def listeners(self) -> list[Listening]:
        """Every door that is open, once each."""
        found = [
            bound.listening
            for child in self.children
            for sockets in child.sockets.values()
            for bound in sockets
        ]
        return list(dict.fromkeys(found))

    def _loop(self) -> None:
        while True:
            now_s = self.clock.monotonic_s()
            self._start_due(now_s)
            if self.stopping and self._all_gone(now_s):
                return
            for key, _ in self._selector.select(self._wait_s(now_s)):
                try:
                    key.data()
                except Exception as error:  # a bug must not take the service down with it
                    self.logger.error("bug", reason="".join(traceback.format_exception(error)))

    def _wait_s(self, now_s: float) -> float | None:
        if self.stopping:
            return max(0.0, self._deadline_s - now_s)
        due = [child.start_at_s for child in self.children if child.state == "waiting"]
        return max(0.0, min(due) - now_s) if due else None

    def _start_due(self, now_s: float) -> None:
        for child in self.children:
            if child.state == "waiting" and child.start_at_s <= now_s and not self.stopping:
                self._start(child, now_s)

    def _start(self, child: Child, now_s: float) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            child.pid = processes.fork(lambda: self._become(child, theirs))
        except OSError as error:  # no memory, too many processes: temporary
            ours.close()
            child.start_at_s = now_s + DELAY_BEFORE_READY_S_MAX
            self._enter(child, "waiting", str(error))
            return
        finally:
            theirs.close()
        child.news = ours
        child.pending = b""
        child.started_s, child.ready_s = now_s, None
        self._enter(child, "starting")
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._on_news(child))

    def _become(self, child: Child, news: socket.socket) -> int:
        """In the child: let go of all that is not its own, and do its work."""
        assert self._control is not None
        assert self._signals is not None
        self._selector.close()
        self._signals.close()
        self._control.close()
        for other in self.children:
            if other.news is not None:
                other.news.close()
            if other is not child:
                for sockets in other.sockets.values():
                    for bound in sockets:
                        bound.socket.close()
        processes.name_process(f"staf-{child.name}")
        return self.run_role(Assignment(child.role, child.index, self.config, child.sockets, news))

    def _on_news(self, child: Child) -> None:
        if child.news is None:  # it ended in the same breath
            return
        try:
            received = child.news.recv(65_536)
        except OSError:
            received = b""
        if not received:
            self._forget_news(child)
            return
        *lines, child.pending = (child.pending + received).split(b"\n")
        for line in lines:
            news = msgspec.json.decode(line, type=dict[str, str])
            child.detail = news["detail"]
            if news["state"] == "ready":
                child.ready_s = self.clock.monotonic_s()
            if child.state != news["state"]:
                self._enter(child, news["state"], child.detail)
        if not self._told_ready and all(c.state == "ready" for c in self.children):
            self._told_ready = True
            self.ready(self.listeners())

    def _forget_news(self, child: Child) -> None:
        if child.news is not None:
            self._selector.unregister(child.news)
            child.news.close()
            child.news = None

    def _on_signal(self) -> None:
        assert self._signals is not None
        numbers = self._signals.read()
        if signal.SIGCHLD in numbers:
            for ended in processes.reap():
                self._on_end(ended)
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self._stop()
        elif signal.SIGHUP in numbers:
            self._reload()

    def _on_end(self, ended: processes.Ended) -> None:
        child = next((one for one in self.children if one.pid == ended.pid), None)
        if child is None:
            return
        if child.news is not None:
            self._on_news(child)  # its last words
            self._forget_news(child)
        child.pid = 0
        last_words = child.detail if child.state == "failed" else ""
        if self.stopping:
            self._enter(child, "stopped", ended.how)
            return
        now_s = self.clock.monotonic_s()
        delay_s = _restart_delay_s(child, now_s)
        child.restarts += 1
        child.start_at_s = now_s + delay_s
        self._enter(child, "waiting", last_words or ended.how)
        self.logger.error(
            "process-ended", process=child.name, pid=ended.pid, how=ended.how,
            detail=last_words, again_in_s=delay_s,
        )  # fmt: skip
        if not self._told_ready:
            self.trouble(child.name, child.detail)

    def _enter(self, child: Child, state: str, detail: str = "") -> None:
        child.state = state
        child.detail = detail
        child.since_us = self.clock.now_us()
        self.logger.info("process", process=child.name, pid=child.pid, state=state, detail=detail)

    def _stop(self) -> None:
        if self.stopping:
            return
        self.stopping = True
        self._deadline_s = self.clock.monotonic_s() + self.config.roles.grace_s
        for child in self.children:
            for sockets in child.sockets.values():
                for bound in sockets:
                    bound.socket.close()
            if child.pid:
                self._enter(child, "draining")
                processes.send_signal(child.pid, signal.SIGTERM)
            else:
                self._enter(child, "stopped")

    def _all_gone(self, now_s: float) -> bool:
        left = [child for child in self.children if child.pid]
        if left and now_s >= self._deadline_s:
            if self._killed:
                # One that cannot be killed hangs in the kernel; waiting for it helps nobody.
                self.logger.error("process-unkillable", processes=[one.name for one in left])
                return True
            for child in left:
                self.logger.warning("process-killed", process=child.name, pid=child.pid)
                processes.send_signal(child.pid, signal.SIGKILL)
            self._killed = True
            self._deadline_s = now_s + KILLED_WAIT_S
        return not left

    def _reload(self) -> None:
        try:
            self.config = self.load()
        except ConfigRefused as refusal:
            self.logger.error("reload-refused", problems=[str(one) for one in refusal.problems])
            return
        self._write_config()
        self.reopen()
        self.logger.info("reload")
        for child in self.children:
            if child.pid:
                processes.send_signal(child.pid, signal.SIGHUP)

    def _write_config(self) -> None:
        target = self.config.data.run / RUNNING_CONFIG
        temporary = target.with_suffix(".partial")
        temporary.write_bytes(msgspec.json.encode(self.config))
        temporary.rename(target)

    def _on_control(self) -> None:
        assert self._control is not None
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            connection, _ = self._control.accept()
            with connection:
                connection.settimeout(CONTROL_TIMEOUT_S)
                request = msgspec.json.decode(
                    connection.recv(CONTROL_BYTES_MAX), type=dict[str, Any]
                )
                connection.sendall(msgspec.json.encode(self._answer(request)) + b"\n")

    def _answer(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        match request.get("do"):
            case "status":
                return {
                    "listeners": self.listeners(),
                    "processes": [
                        {
                            "role": child.role,
                            "index": child.index,
                            "pid": child.pid,
                            "state": child.state,
                            "since_us": child.since_us,
                            "detail": child.detail,
                            "restarts": child.restarts,
                        }
                        for child in self.children
                    ],
                }
            case "reload":
                self._reload()
                return {"done": True}
            case _:
                return {"error": "unknown; known: status, reload"}


def _remove_stale_sockets(run: Path) -> None:
    """Take away the sockets of a service that was killed."""
    for path in run.glob("*.sock"):
        path.unlink(missing_ok=True)


def _restart_delay_s(child: Child, now_s: float) -> float:
    was_ready = child.ready_s is not None
    if child.ready_s is not None and now_s - child.ready_s >= HEALTHY_AFTER_S:
        child.quick_deaths = 0
        return 0.0
    child.quick_deaths += 1
    if was_ready:
        return min(DELAY_AFTER_READY_S * child.quick_deaths, DELAY_AFTER_READY_S_MAX)
    return min(
        DELAY_BEFORE_READY_S * 2.0 ** min(child.quick_deaths - 1, 10), DELAY_BEFORE_READY_S_MAX
    )
