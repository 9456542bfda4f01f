"""How fast the mailbox store is by itself: `python -m benchmarks.mailboxes [NAME ...]`.

Prints medians over repetitions; sizes and counts are in the names. Nothing here is compared with
another server (`python -m benchmarks` does that): this is for finding out what a change costs.
"""

from __future__ import annotations

import itertools
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from staffetta.mailboxes.files import FileSettings
from staffetta.mailboxes.port import (
    INBOX,
    SEEN,
    Column,
    Copy,
    Delivery,
    FlagChange,
    Mailbox,
    MailboxBatch,
    MailboxRef,
    Query,
    SetFlags,
)
from staffetta.mailboxes.progress import finish
from staffetta.mailboxes.rebuilding import rebuild
from staffetta.mailboxes.roster import found_cell, path_of
from staffetta.mailboxes.sqlite import SqliteCell
from staffetta.runtime.clock import SystemClock
from staffetta.runtime.disk import DirectoryVolume
from staffetta.runtime.entropy import SystemEntropy

EVERYTHING = [(1, 0xFFFFFFFF)]
MESSAGE_BYTES = 4096
FOLDER_MESSAGES = 12_000
ROUNDS = 5
NOW_US = 1_700_000_000_000_000


def make_messages(count: int, seed: int = 1) -> list[bytes]:
    """Messages of 4 KiB that differ from each other, with words that are common and rare."""
    chance = random.Random(seed)
    words = ["".join(chance.choices("aeioulnrstcd", k=chance.randint(3, 9))) for _ in range(8_000)]
    weights = list(itertools.accumulate(1 / (rank + 1) for rank in range(len(words))))
    messages = []
    for number in range(count):
        name = f"utente{number % 97}"
        lines = [
            f"Received: from mx{number % 5}.example by mx.libero.example with ESMTP id {number};",
            " Mon, 02 Jan 2023 10:00:00 +0100",
            f"From: {name} <{name}@virgilio.example>",
            "To: Mario Rossi <mario.rossi@libero.example>",
            f"Subject: {' '.join(chance.choices(words, cum_weights=weights, k=5))}",
            f"Date: Mon, {number % 28 + 1:02d} Jan 2023 10:00:00 +0100",
            f"Message-ID: <{chance.getrandbits(64):x}.{number}@virgilio.example>",
            "MIME-Version: 1.0",
            'Content-Type: text/plain; charset="utf-8"',
            "",
            f"unique{number}",
        ]
        size_bytes = sum(map(len, lines)) + 2 * len(lines)
        while size_bytes < MESSAGE_BYTES:
            line = " ".join(chance.choices(words, cum_weights=weights, k=11))
            lines.append(line)
            size_bytes += len(line) + 2
        messages.append("\r\n".join(lines).encode()[:MESSAGE_BYTES])
    return messages


class Bench:
    """A cell on a directory of its own, and receipts that have not been used."""

    def __init__(self, root: Path, settings: FileSettings | None = None) -> None:
        self.root = root
        root.mkdir(exist_ok=True)
        volume = DirectoryVolume(root.name, root)
        found_cell(volume, SystemEntropy())
        self.cell = SqliteCell(volume, SystemClock(), SystemEntropy(), settings)
        self.receipts = 0

    def batch(self, mailbox: int, messages: Sequence[bytes]) -> MailboxBatch:
        deliveries = []
        for content in messages:
            self.receipts += 1
            receipt = self.receipts.to_bytes(10, "big")
            deliveries.append(Delivery(receipt, 0, NOW_US + self.receipts, content))
        return MailboxBatch(MailboxRef(mailbox, 1_600_000_000), deliveries)

    def mailbox(self, number: int) -> Mailbox:
        return self.cell.open(MailboxRef(number, 1_600_000_000))


@contextmanager
def directory() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="staffetta-mailboxes-"))
    try:
        yield root
    finally:
        shutil.rmtree(root)


def timed(job: Callable[[], object]) -> float:
    """Seconds of this process's own work, so that a busy machine does not count; waiting for
    the disk does not either."""
    start = time.process_time()
    job()
    return time.process_time() - start


def say(what: str, figure: float, unit: str) -> None:
    print(f"{what:<64} {figure:>12,.1f} {unit}", flush=True)


def measure_deliver_hot() -> None:
    """One hot mailbox, batches of 256, a sync every 4 batches."""
    messages = make_messages(1_024)
    with directory() as root:
        bench = Bench(root / "hot")
        rates = []
        for _ in range(6):
            batches = [bench.batch(1, messages[n : n + 256]) for n in range(0, 1_024, 256)]

            def run(batches: list[MailboxBatch] = batches) -> None:
                for batch in batches:
                    bench.cell.deliver([batch])
                bench.cell.sync()

            rates.append(1_024 / timed(run))
        say("deliver, one hot mailbox, 4 KiB", statistics.median(rates), "messages/s")
        bench.cell.close()


def measure_deliver_spread() -> None:
    """2,000 mailboxes round robin; all stay open, or a few hundred do; 1 to 8 at a time."""
    messages = make_messages(512)
    for open_files in (2_100, 400):
        for at_once in (1, 4, 8):
            with directory() as root:
                bench = Bench(root / "spread", FileSettings(open_files_max=open_files))
                rates = [_deliver_round(bench, messages, 2_000, at_once) for _ in range(4)]
                name = f"2,000 mailboxes, {open_files} open, {at_once} at a time"
                say(f"deliver, {name}, first round", rates[0], "messages/s")
                say(f"deliver, {name}, then", statistics.median(rates[1:]), "messages/s")
                bench.cell.close()


def _deliver_round(bench: Bench, messages: list[bytes], mailboxes: int, at_once: int) -> float:
    chance = random.Random(bench.receipts)
    batches = [bench.batch(n, chance.sample(messages, at_once)) for n in range(1, mailboxes + 1)]

    def run() -> None:
        for start in range(0, len(batches), 500):
            bench.cell.deliver(batches[start : start + 500])
            bench.cell.sync()

    return mailboxes * at_once / timed(run)


def measure_folder() -> None:
    """A folder of 12,000 messages: fetch, search, store, copy."""
    messages = make_messages(FOLDER_MESSAGES)
    with directory() as root:
        bench = Bench(root / "folder")
        for start in range(0, FOLDER_MESSAGES, 500):
            bench.cell.deliver([bench.batch(1, messages[start : start + 500])])
        bench.cell.sync()
        mailbox = bench.mailbox(1)
        _measure_fetch(mailbox)
        _measure_search(bench, mailbox)
        _measure_store(mailbox)
        bench.cell.close()


def _measure_fetch(mailbox: Mailbox) -> None:
    def read(columns: Sequence[Column]) -> Callable[[], object]:
        return lambda: sum(len(chunk) for chunk in mailbox.fetch(INBOX, EVERYTHING, columns))

    wanted: list[tuple[str, Callable[[], object]]] = [
        ("snapshot", lambda: mailbox.snapshot(INBOX)),
        ("fetch FLAGS", read([])),
        ("fetch SIZE, AT_US", read([Column.SIZE, Column.AT_US])),
        ("fetch ENVELOPE", read([Column.ENVELOPE])),
        ("fetch HEADER", read([Column.HEADER])),
        ("fetch CONTENT", read([Column.CONTENT])),
    ]
    for name, job in wanted:
        seconds = statistics.median(timed(job) for _ in range(ROUNDS))
        say(f"{name}, {FOLDER_MESSAGES} messages", FOLDER_MESSAGES / seconds, "rows/s")


def _measure_search(bench: Bench, mailbox: Mailbox) -> None:
    seconds = timed(lambda: bench.cell.index_pending(FOLDER_MESSAGES))
    say("index words", FOLDER_MESSAGES / seconds, "messages/s")
    queries = {
        "TEXT, a rare word": Query("TEXT", text="unique7777"),
        "TEXT, an absent word": Query("TEXT", text="zzqxjw"),
        "TEXT, part of a common word": Query("TEXT", text="nte"),
        "TEXT, two rare words": Query("TEXT", text="example id 7777"),
        "FROM": Query("HEADER", name="from", text="utente13 "),
        "SUBJECT, absent": Query("HEADER", name="subject", text="zzqxjw"),
        "LACKS": Query("LACKS", flags=SEEN),
        "SENTSINCE": Query("SENTSINCE", number=19_370),
    }
    for name, query in queries.items():
        found = len(mailbox.search(INBOX, EVERYTHING, query))

        def search(query: Query = query) -> object:
            return mailbox.search(INBOX, EVERYTHING, query)

        seconds = statistics.median(timed(search) for _ in range(ROUNDS))
        say(f"search {name} ({found} found)", seconds * 1_000, "ms")


def _measure_store(mailbox: Mailbox) -> None:
    for change in (FlagChange.ADD, FlagChange.REMOVE):

        def store(change: FlagChange = change) -> object:
            return mailbox.change(INBOX, EVERYTHING, SetFlags(change, SEEN))

        say(f"STORE {change.name} on {FOLDER_MESSAGES} messages", timed(store) * 1_000, "ms")

    def store_one() -> object:
        mailbox.change(INBOX, [(77, 77)], SetFlags(FlagChange.ADD, SEEN))
        return mailbox.change(INBOX, [(77, 77)], SetFlags(FlagChange.REMOVE, SEEN))

    seconds = statistics.median(timed(store_one) for _ in range(20)) / 2
    say("STORE on one message, durable", seconds * 1_000, "ms")
    before = mailbox.snapshot(INBOX).modseq - 1
    seconds = statistics.median(timed(lambda: mailbox.snapshot(INBOX, before)) for _ in range(20))
    say("snapshot since the last change", seconds * 1_000, "ms")
    seconds = timed(lambda: mailbox.change(INBOX, EVERYTHING, Copy("Archive")))
    say(f"COPY of {FOLDER_MESSAGES} messages", seconds * 1_000, "ms")
    seconds = timed(lambda: mailbox.change(INBOX, EVERYTHING, Copy("Trash", move=True)))
    say(f"MOVE of {FOLDER_MESSAGES} messages", seconds * 1_000, "ms")


def measure_repair() -> None:
    """Check a mailbox of 12,000 messages; rebuild it from its own file, and from the log."""
    messages = make_messages(FOLDER_MESSAGES)
    ref = MailboxRef(1, 1_600_000_000)
    with directory() as root:
        bench = Bench(root / "repair")
        batch = bench.batch(1, messages)
        for start in range(0, FOLDER_MESSAGES, 500):
            some = batch.deliveries[start : start + 500]
            bench.cell.deliver([MailboxBatch(ref, some)])
        bench.cell.sync()
        log = [replace(one, uid=uid) for uid, one in enumerate(batch.deliveries, 1)]
        seconds = timed(lambda: bench.cell.check(ref))
        say("check", FOLDER_MESSAGES / seconds, "messages/s")
        files = bench.cell.files
        seconds = timed(lambda: finish(rebuild(files, ref, log, NOW_US)))
        say("rebuild of a healthy file", FOLDER_MESSAGES / seconds, "messages/s")
        files.close()
        (root / "repair" / path_of(1)).write_bytes(b"garbage" * 10_000)
        seconds = timed(lambda: finish(rebuild(files, ref, log, NOW_US + 1)))
        say("rebuild from the log alone", FOLDER_MESSAGES / seconds, "messages/s")
        assert bench.mailbox(1).overview().messages == FOLDER_MESSAGES
        bench.cell.close()


MEASURES: dict[str, Callable[[], None]] = {
    "hot": measure_deliver_hot,
    "spread": measure_deliver_spread,
    "folder": measure_folder,
    "repair": measure_repair,
}


def main(names: Sequence[str]) -> None:
    """Run the named measurements, or all."""
    for name in names or MEASURES:
        MEASURES[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
