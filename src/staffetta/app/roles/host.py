"""Runs one role in a process: everything around it that is the same for all roles."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import uvloop

from staffetta.app.certificates import ensure_certificate
from staffetta.app.config import Config
from staffetta.app.config_file import load_running
from staffetta.app.control import ControlServer, socket_path
from staffetta.app.roles import accept, access, deliver
from staffetta.app.roles.contract import PARTITION_OFFSETS, Command, Role, RoleContext, RoleState
from staffetta.app.roles.description import describe
from staffetta.app.supervisor import Assignment
from staffetta.app.volumes import StorageVolumes
from staffetta.doors.web.health import HealthReport, health_application
from staffetta.doors.web.server import HttpServer
from staffetta.runtime.clock import Clock, SystemClock
from staffetta.runtime.entropy import SystemEntropy
from staffetta.runtime.net import load_certificate, server_tls
from staffetta.runtime.processes import end_now
from staffetta.runtime.telemetry import BufferedLines, Logger, Metrics, open_logger

FAILED_EXIT_CODE = 1
GIVEN_UP_EXIT_CODE = 3
HEALTH_REQUESTS_MAX = 64
FLUSH_TIMEOUT_S = 1.0
# How long a busy thread keeps the interpreter from one that comes back from the disk: with the
# usual 5 ms, a commit would wait that long for the event loop, again and again.
SWITCH_INTERVAL_S = 0.0005


BUILDERS = {"accept": accept.build, "deliver": deliver.build, "access": access.build}


def run_role(assignment: Assignment) -> NoReturn:
    """Run the role until it is told to stop, and end the process."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    host = RoleHost(assignment)
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    try:
        code = runner.run(host.run())
    except Exception as error:  # said aloud here; the parent starts a new process
        code = host.fail(error)
    host.flush()
    # Not by closing the runner: it would wait for threads, some of which may hang for ever.
    end_now(code)


class RoleHost:
    """One role, its surroundings, and the conversation with the parent."""

    def __init__(self, assignment: Assignment) -> None:
        config = assignment.config
        role, index = assignment.role, assignment.index
        self._assignment = assignment
        self._clock = SystemClock()
        self._lines = BufferedLines(log_file(config))
        self._logger: Logger = open_logger(
            self._lines, config.telemetry.level, process=f"{role}-{index}", pid=os.getpid()
        )
        self._metrics = Metrics(role=role, index=str(index))
        self._volumes = StorageVolumes(config)
        self._state = "starting"
        self._detail = ""
        self._since_us = self._clock.now_us()
        self._stop = asyncio.Event()
        self._given_up = False
        self._commands: dict[str, Command] = {
            "status": self._answer_status,
            "faults": self._answer_faults,
            "reload": self._answer_reload,
        }
        self._role: Role | None = None
        self._tls = make_tls(config, self._clock)

    async def run(self) -> int:
        """Start, serve, drain."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        self._volumes.watch()
        assignment = self._assignment
        data = assignment.config.data
        control = ControlServer(
            socket_path(data.run, assignment.role, assignment.index), self._commands
        )
        await control.start()
        role = BUILDERS[assignment.role](self._context(loop))
        self._role = role
        describe(self._metrics, role, lambda: self._state, lambda: self._lines.dropped_lines)
        await role.start()
        health = self._health_server()
        await health.start()
        self._enter("ready")
        await self._stop.wait()
        if not self._given_up:
            self._enter("draining")
            await self._drain(role)
            await health.stop()
        control.close()
        return GIVEN_UP_EXIT_CODE if self._given_up else 0

    def fail(self, error: Exception) -> int:
        """Say what ended this process; returns its exit code."""
        self._logger.error("failed", reason="".join(traceback.format_exception(error)))
        self._enter("failed", f"{type(error).__name__}: {error}")
        return FAILED_EXIT_CODE

    def flush(self) -> None:
        """Get the last lines out."""
        self._lines.flush(FLUSH_TIMEOUT_S)

    def _context(self, loop: asyncio.AbstractEventLoop) -> RoleContext:
        assignment = self._assignment
        role, index, config = assignment.role, assignment.index, assignment.config

        def give_up(reason: str) -> None:
            loop.call_soon_threadsafe(self._give_up, reason)

        return RoleContext(
            role=role,
            index=index,
            siblings=config.processes(role),
            partition=PARTITION_OFFSETS[role] + index,
            host_name=host_name(config),
            config=config,
            clock=self._clock,
            entropy=SystemEntropy(),
            logger=self._logger,
            metrics=self._metrics,
            volumes=self._volumes,
            sockets=assignment.sockets,
            tls=self._tls,
            commands=self._commands,
            give_up=give_up,
        )

    def _health_server(self) -> HttpServer:
        sockets = self._assignment.sockets.get(f"{self._assignment.role}-health", ())
        return HttpServer(
            health_application(self._health, self._metrics),
            [bound.socket for bound in sockets],
            HEALTH_REQUESTS_MAX,
            drain_s=1,
        )

    def _health(self) -> HealthReport:
        content = self._status()
        return HealthReport(bool(content["working"]) and self._state == "ready", content)

    async def _drain(self, role: Role) -> None:
        grace_s = self._assignment.config.roles.grace_s
        try:
            async with asyncio.timeout(grace_s):
                await role.drain(grace_s)
        except TimeoutError:
            self._logger.warning("drain-cut-short", grace_s=grace_s)

    def _give_up(self, reason: str) -> None:
        if self._given_up:
            return
        self._given_up = True
        self._logger.error("give-up", reason=reason)
        self._enter("failed", reason)
        self._stop.set()

    def _enter(self, state: str, detail: str = "") -> None:
        self._state, self._detail = state, detail
        self._since_us = self._clock.now_us()
        line = msgspec.json.encode({"state": state, "detail": detail}) + b"\n"
        try:
            self._assignment.news.sendall(line)
        except OSError:
            self._logger.warning("parent-gone")

    def _reload(self) -> None:
        config = load_running(Path(self._assignment.config.data_directory))
        if config is None:
            self._logger.error("reload-failed", reason="no configuration in the run directory")
            return
        self._lines.reopen()
        try:
            load_certificate(self._tls, *ensure_certificate(config, host_name(config), self._clock))
        except OSError as error:  # the old one stays in use
            self._logger.error("certificate-refused", reason=str(error))
        if self._role is not None:
            self._role.reload(config)
        self._logger.info("reloaded")

    def _status(self) -> dict[str, Any]:
        role = self._role
        state = role.state() if role is not None else RoleState(working=False)
        return {
            "role": self._assignment.role,
            "index": self._assignment.index,
            "pid": os.getpid(),
            "state": self._state,
            "since_us": self._since_us,
            "working": state.working,
            "detail": self._detail or state.detail,
            "listeners": list(role.listeners()) if role is not None else [],
            "cells": state.cells,
            "directory": state.directory,
            "numbers": dict(state.numbers),
        }

    async def _answer_status(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._status()

    async def _answer_faults(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        orders = self._volumes.obey()
        return {"serial": orders.serial, "cells": orders.cells}

    async def _answer_reload(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        self._reload()
        return {"done": True}


def host_name(config: Config) -> str:
    """The name of this service in greetings and trace headers."""
    return config.host_name or socket.gethostname()


def log_file(config: Config) -> Path | None:
    """Where lines go; None is standard error."""
    return Path(config.telemetry.file) if config.telemetry.file else None


def make_tls(config: Config, clock: Clock) -> ssl.SSLContext:
    """Our side of TLS, with the configured or the self-made certificate. Raises `OSError`."""
    return server_tls(*ensure_certificate(config, host_name(config), clock))
