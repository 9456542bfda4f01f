"""Starting the whole service in this process: what `serve` and `demo` share."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path

from staffetta.app.certificates import ensure_certificate
from staffetta.app.config import Config
from staffetta.app.roles.host import host_name, log_file, run_role
from staffetta.app.supervisor import Supervisor
from staffetta.runtime.clock import SystemClock
from staffetta.runtime.net import Listening
from staffetta.runtime.telemetry import DirectLines, open_logger

# What the roles import only when they need it: here once, before the processes are forked.
PRELOADED = (
    "prometheus_client",
    "structlog",
    "uvicorn.lifespan.off",
    "uvicorn.protocols.http.httptools_impl",
)


def run_service(
    config: Config,
    load: Callable[[], Config],
    ready: Callable[[Sequence[Listening], float], None],
    before: Callable[[Config], None],
    trouble: Callable[[str, str], None],
) -> None:
    """Run the service in the foreground until SIGTERM or SIGINT.

    `load` reads the configuration again on SIGHUP; `ready` gets what listens, and the seconds
    it took; `before` is called once the data directory and the ports are ours; `trouble` hears
    of processes that end before all were ready. Raises `FileLocked`, `PortTaken`, `PortRefused`,
    `OSError` before anything runs.
    """
    clock = SystemClock()
    begun_s = clock.monotonic_s()
    for module in PRELOADED:
        importlib.import_module(module)
    Path(config.data_directory).mkdir(parents=True, exist_ok=True, mode=0o700)

    def prepare() -> None:
        ensure_certificate(config, host_name(config), clock)
        before(config)

    lines = DirectLines(log_file(config))
    Supervisor(
        config=config,
        clock=clock,
        logger=open_logger(lines, config.telemetry.level, process="supervisor"),
        load=load,
        run_role=run_role,
        ready=lambda listeners: ready(listeners, clock.monotonic_s() - begun_s),
        trouble=trouble,
        reopen=lines.reopen,
    ).run(prepare)
