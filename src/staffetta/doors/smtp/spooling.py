"""A message too large for memory, on its way to the log's disk while it arrives."""

from __future__ import annotations

from collections.abc import Callable

from staffetta.doors.smtp.decisions import HEADER_LOOK_BYTES
from staffetta.journey.accept import Acceptance, Transaction
from staffetta.log.commit import CommitResult
from staffetta.log.port import LogBroken, LogFull, LogWriter, SpooledBody, SpoolFile
from staffetta.runtime.tasks import Done, Failed, Outcome, Worker

# What may wait for the disk before the sender is made to wait.
BEHIND_BYTES = 1024 * 1024


class Spooling:
    """One large message. Lives on the event loop; its file is written by the worker, in order."""

    def __init__(
        self,
        writer: LogWriter,
        worker: Worker,
        acceptance: Acceptance,
        transaction: Transaction,
        caught_up: Callable[[], None],
    ) -> None:
        """`caught_up` is called when the disk has taken what was behind."""
        self.transaction = transaction
        self.opening = acceptance.open(transaction)
        self.digest = acceptance.digest(transaction)
        self.head = b""
        self.failure = CommitResult.DURABLE
        self._worker = worker
        self._caught_up = caught_up
        self._file: SpoolFile | None = None
        self._waiting_bytes = 0

        def open_file() -> None:
            self._file = writer.spool(self.opening.receipt)
            self._file.write(self.opening.trace)

        worker.submit(open_file, self._note)

    @property
    def is_behind(self) -> bool:
        """Should the sender wait?"""
        return self._waiting_bytes > BEHIND_BYTES

    def write(self, octets: bytes) -> None:
        """More of the message."""
        if len(self.head) < HEADER_LOOK_BYTES:
            self.head += octets[: HEADER_LOOK_BYTES - len(self.head)]
        self.digest.update(octets)
        self._waiting_bytes += len(octets)

        def write_octets() -> None:
            if self._file is not None:
                self._file.write(octets)

        def written(outcome: Outcome[None]) -> None:
            self._waiting_bytes -= len(octets)
            self._note(outcome)
            self._caught_up()

        self._worker.submit(write_octets, written)

    def finish(self, done: Callable[[SpooledBody | None], None]) -> None:
        """Sync the file. `done` gets the body, or None when `failure` says why not."""

        def sync() -> SpooledBody | None:
            return None if self._file is None else self._file.finish()

        def synced(outcome: Outcome[SpooledBody | None]) -> None:
            self._note(outcome)
            if self.failure is CommitResult.DURABLE and isinstance(outcome, Done):
                done(outcome.value)
            else:
                self.discard()
                done(None)

        self._worker.submit(sync, synced)

    def discard(self) -> None:
        """The message will never be whole, or could not be kept."""

        def drop() -> None:
            if self._file is not None:
                self._file.discard()

        self._worker.submit(drop, self._note)

    def _note(self, outcome: Outcome[object]) -> None:
        match outcome:
            case Failed(LogFull()):
                self.failure = CommitResult.FULL
            case Failed(LogBroken()):
                self.failure = CommitResult.BROKEN
            case Failed(error):
                raise error
            case _:
                pass
