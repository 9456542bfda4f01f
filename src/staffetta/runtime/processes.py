"""Processes: forking, reaping, locks, signals, and dying with one's parent.

A process that forks must have no threads and no running event loop; what is imported before the
fork costs its children nothing, neither time nor memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import os
import resource
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_HANDLED = (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGINT)
BUG_EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h


class FileLocked(Exception):
    """Another process holds the lock; `pid` is 0 where it is not known."""

    def __init__(self, path: Path, pid: int) -> None:
        super().__init__(f"{path} is locked by process {pid}")
        self.pid = pid


def lock_file(path: Path, wait_s: float = 0.0) -> int:
    """Lock a file and return the descriptor that holds the lock; children inherit it.

    Waits for at most `wait_s`. Raises `FileLocked`, or `OSError`.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline_s = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline_s:
                holder = os.read(descriptor, 32).strip()
                os.close(descriptor)
                raise FileLocked(path, int(holder) if holder.isdigit() else 0) from None
            time.sleep(0.05)
        else:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            return descriptor


def raise_file_limit() -> int:
    """As many open files as the machine allows; returns how many those are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def resident_bytes() -> int:
    """Memory that this process holds in RAM, what it shares with its parent included."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:  # not Linux: the most it ever held
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return pages * resource.getpagesize()


def end_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent ends, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:  # it ended before we could ask
        os._exit(BUG_EXIT_CODE)


def name_process(name: str) -> None:
    """The name that `ps -o comm` and `top` show, cut at 15 characters."""
    if sys.platform == "linux":
        text = ctypes.create_string_buffer(name.encode()[:15])
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NAME, text, 0, 0, 0)


def fork(work: Callable[[], int]) -> int:
    """Run `work` in a child process that ends with its exit code; returns the child's id.

    The child dies with this process. It starts with the default signal handlers, but for
    SIGINT, which it ignores: who presses Ctrl-C means the parent.
    """
    gc.freeze()  # what exists now is shared: collecting it would copy its pages
    parent_pid = os.getpid()
    sys.stdout.flush()
    # Until the child has handlers of its own, a signal to it would be taken for the parent's.
    signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
    pid = os.fork()
    if pid == 0:
        _run_and_end(work, parent_pid)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
    return pid


def _run_and_end(work: Callable[[], int], parent_pid: int) -> NoReturn:
    code = BUG_EXIT_CODE
    try:
        signal.set_wakeup_fd(-1)
        for number in _HANDLED:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
        end_with_parent(parent_pid)
        code = work()
    except BaseException:  # this is the outermost frame: whatever it is, say it and end
        traceback.print_exc()
    end_now(code)


def end_now(code: int) -> NoReturn:
    """End this process without waiting for its threads, some of which may hang for ever."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


@dataclass(frozen=True, slots=True)
class Ended:
    """A child that has ended: `code` as a shell would say it (128 + number for a signal)."""

    pid: int
    code: int
    how: str


def reap() -> list[Ended]:
    """The children that have ended since the last call. Never waits."""
    ended: list[Ended] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            ended.append(Ended(pid, 128 + number, signal.Signals(number).name))
        else:
            code = os.waitstatus_to_exitcode(status)
            ended.append(Ended(pid, code, f"exit code {code}"))


def send_signal(pid: int, number: int) -> None:
    """Send a signal to a child of ours, if it is still there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


class SignalPipe:
    """Signals as readable bytes on a descriptor, for a loop that selects."""

    def __init__(self, numbers: Iterable[signal.Signals]) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        for number in numbers:
            signal.signal(number, _nothing)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._reader.fileno()

    def read(self) -> set[int]:
        """The numbers of the signals that came since the last call."""
        try:
            return set(self._reader.recv(4096))
        except BlockingIOError:
            return set()

    def close(self) -> None:
        """Let go of the descriptors; in the child after a fork, too."""
        signal.set_wakeup_fd(-1)
        self._reader.close()
        self._writer.close()


def _nothing(number: int, frame: object) -> None:
    return


def repeat_on_thread(call: Callable[[], object], interval_s: float, name: str) -> None:
    """Call it again and again for as long as this process lives."""

    def run() -> None:
        while True:
            time.sleep(interval_s)
            call()

    threading.Thread(target=run, name=name, daemon=True).start()
