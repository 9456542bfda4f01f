"""Facts about the machine, and what its processes used while a run went on.

Everything is read from ``/proc``; nothing here changes anything.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
KERNEL_THREADS_PARENT = 2
SYNC_SAMPLES = 50


@dataclass(frozen=True, slots=True)
class ProcessTicks:
    """One process in one moment: its parent and the ticks it has used, reaped children included."""

    pid: int
    parent: int
    ticks: int


@dataclass(frozen=True, slots=True)
class CpuSnapshot:
    """Ticks used since the machine started: by all, by ours, by the kernel's own threads.

    ``server_ticks`` are those of one server's processes, a part of ours; ``stolen_ticks`` those in
    which the machine under this virtual one ran something else.
    """

    total_ticks: int
    busy_ticks: int
    own_ticks: int
    kernel_ticks: int
    server_ticks: int
    stolen_ticks: int


@dataclass(frozen=True, slots=True)
class CpuUse:
    """Who used the processors between two moments, as shares of the whole machine (0 to 1).

    ``server_s`` is the time that the server's own processes were on a processor.
    """

    busy_share: float
    ours_share: float
    foreign_share: float
    stolen_share: float
    server_s: float


def read_processes() -> dict[int, ProcessTicks]:
    """Every process with its parent and used ticks; those that vanish meanwhile are left out."""
    found: dict[int, ProcessTicks] = {}
    for entry in os.listdir(PROC):
        if not entry.isdigit():
            continue
        try:
            text = (PROC / entry / "stat").read_text()
        except OSError:
            continue
        fields = text[text.rindex(")") + 2 :].split()
        ticks = sum(int(value) for value in fields[11:15])
        found[int(entry)] = ProcessTicks(int(entry), int(fields[1]), ticks)
    return found


def descend(roots: Iterable[int], processes: Mapping[int, ProcessTicks] | None = None) -> list[int]:
    """The given processes and everything below them, as far as alive (or among ``processes``)."""
    children: dict[int, list[int]] = {}
    alive = read_processes() if processes is None else processes
    for process in alive.values():
        children.setdefault(process.parent, []).append(process.pid)
    waiting = [pid for pid in roots if pid in alive]
    found: list[int] = []
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting.extend(children.get(pid, ()))
    return found


def take_cpu_snapshot(server_roots: Iterable[int]) -> CpuSnapshot:
    """The counters from which :func:`compare_cpu` computes shares.

    Ours are this process, the servers, and all below them. A child's ticks pass to its parent when
    it is reaped, so the sum over a tree loses nothing.
    """
    values = [int(value) for value in (PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, *_ = values
    processes = read_processes()
    server = descend(server_roots, processes)
    ours = {*server, *descend([os.getpid()], processes)}
    return CpuSnapshot(
        total_ticks=sum(values),
        busy_ticks=user + nice + system,
        own_ticks=sum(processes[pid].ticks for pid in ours),
        kernel_ticks=sum(
            process.ticks
            for process in processes.values()
            if process.parent == KERNEL_THREADS_PARENT
        ),
        server_ticks=sum(processes[pid].ticks for pid in server),
        stolen_ticks=values[7],
    )


def compare_cpu(before: CpuSnapshot, after: CpuSnapshot) -> CpuUse:
    """Shares of the machine: in use, used by servers and generators, used by strangers.

    Kernel threads count as neither: journal and block threads work for whoever writes.
    """
    total = max(1, after.total_ticks - before.total_ticks)
    busy = after.busy_ticks - before.busy_ticks
    # A process that leaves the tree takes its ticks along.
    own = max(0, after.own_ticks - before.own_ticks)
    kernel = after.kernel_ticks - before.kernel_ticks
    return CpuUse(
        busy_share=busy / total,
        ours_share=own / total,
        foreign_share=max(0, busy - own - kernel) / total,
        stolen_share=(after.stolen_ticks - before.stolen_ticks) / total,
        server_s=(after.server_ticks - before.server_ticks) / TICKS_PER_SECOND,
    )


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of a set of processes, in bytes; shared pages are counted in proportion (PSS)."""

    processes: int
    pss_bytes: int
    private_bytes: int


def measure_memory(roots: Iterable[int]) -> Memory:
    """PSS and private bytes of the given processes and all their descendants."""
    pids = descend(roots)
    pss = private = counted = 0
    for pid in pids:
        try:
            lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        counted += 1
        for line in lines:
            name, _, rest = line.partition(":")
            if name == "Pss":
                pss += int(rest.split()[0]) * 1024
            elif name in ("Private_Clean", "Private_Dirty"):
                private += int(rest.split()[0]) * 1024
    return Memory(counted, pss, private)


def measure_sync_ms(directory: Path) -> float:
    """Median time of writing 4 KiB and syncing it to the disk under ``directory``."""
    path = directory / "sync-probe"
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    times: list[float] = []
    try:
        for _ in range(SYNC_SAMPLES):
            os.write(descriptor, b"x" * 4096)
            started = time.perf_counter()
            os.fdatasync(descriptor)
            times.append((time.perf_counter() - started) * 1000)
    finally:
        os.close(descriptor)
        path.unlink()
    return round(statistics.median(times), 3)


def read_filesystem(directory: Path) -> str:
    """Type of the file system that holds ``directory`` (``ext4``, ``tmpfs``, …)."""
    best, kind = "", "unknown"
    target = str(directory.resolve())
    for line in (PROC / "mounts").read_text().splitlines():
        _, mount, this_kind, *_ = line.split()
        inside = target == mount or target.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, this_kind
    return kind


def read_setting(path: str) -> str:
    """One kernel setting below ``/proc/sys``, or ``unknown``."""
    try:
        return (PROC / "sys" / path).read_text().strip()
    except OSError:
        return "unknown"


def run_for_line(*command: str) -> str:
    """First line that a command prints, or ``absent``."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "absent"
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0] if lines else "absent"


def read_memory_total_mib() -> int:
    """Memory of the machine in MiB."""
    return _read_meminfo_kib("MemTotal") // 1024


def read_memory_available_bytes() -> int:
    """Memory that processes could still get."""
    return _read_meminfo_kib("MemAvailable") * 1024


def _read_meminfo_kib(wanted: str) -> int:
    for line in (PROC / "meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == wanted:
            return int(rest.split()[0])
    return 0


def read_cpu_model() -> str:
    """Name of the processor, as the kernel gives it."""
    for line in (PROC / "cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def describe_machine(directory: Path) -> dict[str, str | int | float]:
    """What a reader needs in order to judge the figures."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": read_cpu_model(),
        "memory_mib": read_memory_total_mib(),
        "kernel": platform.release(),
        "python": sys.version.split()[0],
        "file_system": read_filesystem(directory),
        "write_and_sync_4kib_ms": measure_sync_ms(directory),
        "niceness": os.getpriority(os.PRIO_PROCESS, 0),
        "load_average_1min": os.getloadavg()[0],
        "postfix": run_for_line("postconf", "-h", "mail_version"),
        "dovecot": run_for_line("dovecot", "--version"),
        "inotify_instances_per_user": read_setting("fs/inotify/max_user_instances"),
    }
