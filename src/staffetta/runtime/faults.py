"""Breaking a volume on purpose.

A drill that only closes a door proves that the door can be closed. Here the fault acts where
the machine's own faults act: between the code and its files. Every file and database of a
volume is reached through `runtime.disk`, which asks the volume's `Gate` before each operation;
a broken gate then hangs, fails or lies in the chosen way, and nothing above it can tell the
difference from a broken disk.
"""

from __future__ import annotations

import enum
import threading


class FaultMode(enum.StrEnum):
    """How a volume is broken."""

    HANG = "hang"  # the operation does not return until the volume is mended
    ERROR = "error"  # EIO
    FULL = "full"  # ENOSPC on writes; reads work
    READONLY = "readonly"  # EROFS on writes; reads work
    CORRUPT = "corrupt"  # whatever is read is not a database
    GONE = "gone"  # ENOENT: the directory is not there


class Operation(enum.IntEnum):
    """What is about to be done to the volume."""

    READ = 1
    WRITE = 2
    SYNC = 3


class VolumeFault(Exception):
    """The volume cannot do what was asked: temporary from the caller's point of view.

    `mode` says in which of the known ways; real faults are classified into the same words.
    """

    def __init__(self, volume: str, mode: FaultMode, detail: str = "") -> None:
        super().__init__(f"volume {volume}: {mode.value}{': ' + detail if detail else ''}")
        self.volume = volume
        self.mode = mode
        self.detail = detail


class Abandoned(VolumeFault):
    """The caller's deadline passed while the operation hung; it was not carried out."""

    def __init__(self, volume: str) -> None:
        super().__init__(volume, FaultMode.HANG, "given up by its caller before it began")


class Gate:
    """The fault state of one volume in this process.

    `mode` is read without a lock on every operation: one attribute, so that a healthy volume
    pays some tens of nanoseconds. Hung operations wait on `_mended`.
    """

    __slots__ = ("_mended", "mode", "volume")

    def __init__(self, volume: str) -> None:
        self.volume = volume
        self.mode: FaultMode | None = None
        self._mended = threading.Event()
        self._mended.set()

    def break_(self, mode: FaultMode) -> None:
        """Every operation from now on meets `mode`."""
        if mode is FaultMode.HANG:
            self._mended.clear()
        else:
            self._mended.set()
        self.mode = mode

    def mend(self) -> None:
        """Back to health; operations that hang go on."""
        self.mode = None
        self._mended.set()

    def pass_(self, operation: Operation, abandoned: threading.Event | None = None) -> None:
        """Called before an operation. Returns when it may go ahead.

        Raises `VolumeFault` where the mode forbids it, `Abandoned` if the caller gave up
        while the volume hung (so that a late, unwanted write never happens).
        """
        mode = self.mode
        if mode is None:
            return
        if mode is FaultMode.HANG:
            self._mended.wait()
            if abandoned is not None and abandoned.is_set():
                raise Abandoned(self.volume)
            self.pass_(operation, abandoned)
            return
        if mode in (FaultMode.FULL, FaultMode.READONLY) and operation is Operation.READ:
            return
        raise VolumeFault(self.volume, mode)
