"""Counting the syncs a server makes for each message, with strace: proof that 250 costs one."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.machine import descend

CALLS = "fsync,fdatasync,syncfs,sync_file_range,msync"
ATTACH_TIMEOUT_S = 10.0
COUNT_LINE = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)\s*$", re.MULTILINE)


def count_syncs(roots: list[int], work: Callable[[], object]) -> dict[str, int] | None:
    """System calls that sync, made by the given processes and their children during ``work``.

    ``None`` where strace is absent or may not attach.
    """
    if not shutil.which("strace"):
        return None
    with tempfile.TemporaryDirectory(prefix="staffetta-strace-") as directory:
        output = Path(directory) / "counts"
        command = ["strace", "-f", "-c", "-o", str(output), "-e", f"trace={CALLS}"]
        for pid in descend(roots):
            command += ["-p", str(pid)]
        tracer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            if not _await_attached(tracer, roots):
                return None
            work()
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait(ATTACH_TIMEOUT_S)
        text = output.read_text() if output.exists() else ""
    return {name: int(calls) for calls, name in COUNT_LINE.findall(text) if name != "total"}


def _await_attached(tracer: subprocess.Popen[bytes], roots: list[int]) -> bool:
    limit = time.monotonic() + ATTACH_TIMEOUT_S
    while time.monotonic() < limit and tracer.poll() is None:
        if all(_read_tracer(pid) for pid in descend(roots)):
            return True
        time.sleep(0.05)
    return False


def _read_tracer(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return -1
    found = re.search(r"^TracerPid:\s+(\d+)", text, re.MULTILINE)
    return int(found[1]) if found else 0
