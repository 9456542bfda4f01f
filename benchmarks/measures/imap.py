"""IMAP on a large mailbox with warm caches: how long an answer takes that is read to its end."""

from __future__ import annotations

import time
from dataclasses import dataclass

from benchmarks.bench import Bench, Sample
from benchmarks.loads.imap_reader import ImapReader, ImapRefusal, StatusSweep
from benchmarks.loads.mail import ABSENT_WORD, RARE_WORD, Letter, write_letters
from benchmarks.loads.posting import post
from benchmarks.measures.end_to_end import await_counts
from benchmarks.peers.dovecot import Dovecot, DovecotChoices
from benchmarks.peers.port import Door, Peer, PeerFault
from benchmarks.peers.postfix import DOMAIN
from benchmarks.report import Report, Unit
from benchmarks.staffetta_peer import Roles, Staffetta

NAME = "imap"
READER = f"reader@{DOMAIN}"
MESSAGES = 12_000
WARM_UP_TIMEOUT_S = 180.0
WARM_UP_RETRY_S = 1.0
SEARCH_LINE = b"* SEARCH"


@dataclass(frozen=True, slots=True)
class Case:
    """A command, how often it is asked in one run, the speed wanted, and what undoes it."""

    name: str
    command: bytes
    repeats: int
    speed_min: float | None
    undo: bytes | None = None
    found: int | None = None


CASES = [
    Case("FETCH UID FLAGS", b"FETCH 1:* (UID FLAGS)", 10, 0.5),
    Case("FETCH ENVELOPE", b"FETCH 1:* (ENVELOPE)", 5, 1.0),
    Case("FETCH BODY.PEEK[]", b"FETCH 1:* (BODY.PEEK[])", 2, 1.0),
    Case("SEARCH TEXT (rare word)", b"SEARCH TEXT %s" % RARE_WORD.encode(), 1, 50.0, found=1),
    Case("SEARCH TEXT (absent word)", b"SEARCH TEXT %s" % ABSENT_WORD.encode(), 1, 50.0, found=0),
    Case(
        "STORE +FLAGS on all",
        b"STORE 1:* +FLAGS (\\Seen)",
        2,
        0.5,
        undo=b"STORE 1:* -FLAGS (\\Seen)",
    ),
    Case(
        "STORE -FLAGS on all",
        b"STORE 1:* -FLAGS (\\Seen)",
        2,
        0.5,
        undo=b"STORE 1:* +FLAGS (\\Seen)",
    ),
]


def measure(bench: Bench) -> Report:
    """Run it and return what was found."""
    report = bench.open_report(NAME)
    messages = bench.choose(MESSAGES, 2000)
    letters = write_letters(messages, READER)
    report.settings["load"] = {
        "mailbox": f"{messages} messages of about 4 KiB, the same in both",
        "client": "raw socket, reads to the tagged OK in chunks of 1 MiB, parses nothing",
        "caches": "every command asked twice before it counts",
    }
    dovecot = Dovecot(bench.workplace, [READER], DovecotChoices(fsync="never"))
    staffetta = [Staffetta(bench.workplace, [READER], Roles.ALL)] if bench.with_staffetta else []
    peers: list[Dovecot | Staffetta] = [dovecot, *staffetta]
    with bench.running(report, *peers):
        _fill(bench, dovecot, dovecot.lmtp, True, letters)
        # Only the filling goes without syncs.
        dovecot.restart(DovecotChoices())
        report.settings[dovecot.name] = dovecot.describe()
        for one in staffetta:
            _fill(bench, one, one.smtp, False, letters)
        _alternate(bench, report, peers, messages)
    for case in CASES:
        report.compare(case.name, Roles.ALL.label, "dovecot", case.speed_min)
    return report


def _fill(
    bench: Bench, peer: Dovecot | Staffetta, door: Door, lmtp: bool, letters: list[Letter]
) -> None:
    with bench.step(f"filling {peer.name}", len(letters)) as advance:
        post(letters, READER, door, lmtp, progress=advance)
        sweep = StatusSweep(peer.imap, [READER], peer.password)
        await_counts(sweep, {READER: len(letters)})
        sweep.close()


def _alternate(
    bench: Bench, report: Report, peers: list[Dovecot | Staffetta], messages: int
) -> None:
    readers = [_open(peer, messages) for peer in peers]
    with bench.step("reading", bench.runs * len(CASES) * len(peers)) as advance:
        for case in CASES:
            for peer, reader in zip(peers, readers, strict=True):
                _warm_up(report, peer, reader, case)
            for number in range(bench.runs):
                for peer, reader in zip(peers, readers, strict=True):
                    _record(bench, report, peer, reader, case, number)
                    advance(1)
    for reader in readers:
        reader.close()


def _open(peer: Dovecot | Staffetta, messages: int) -> ImapReader:
    reader = ImapReader(peer.imap)
    reader.log_in(READER, peer.password)
    answer = reader.ask(b"SELECT INBOX")
    if b"* %d EXISTS" % messages not in answer.tail:
        raise PeerFault(f"{peer.name}: SELECT does not show {messages} messages")
    return reader


def _warm_up(report: Report, peer: Peer, reader: ImapReader, case: Case) -> None:
    started, refused = time.monotonic(), ""
    while True:
        try:
            _ask_twice(peer, reader, case)
        except ImapRefusal as refusal:
            # What is filled behind delivery (an index) may need a while after 12,000 messages.
            refused = str(refusal)
            if time.monotonic() - started > WARM_UP_TIMEOUT_S:
                raise
            time.sleep(WARM_UP_RETRY_S)
        else:
            break
    if refused:
        waited_s = time.monotonic() - started
        report.remarks.append(
            f"{peer.name} needed {waited_s:.0f} s before it answered {case.name}: {refused}"
        )


def _ask_twice(peer: Peer, reader: ImapReader, case: Case) -> None:
    for _ in range(2):
        if case.undo:
            reader.ask(case.undo)
        answer = reader.ask(case.command)
    if case.found is not None:
        lines = [line for line in answer.tail.split(b"\r\n") if line.startswith(SEARCH_LINE)]
        numbers = b" ".join(lines).replace(SEARCH_LINE, b"").split()
        if len(numbers) != case.found:
            raise PeerFault(f"{peer.name}: {case.name} found {numbers!r}, not {case.found}")


def _record(
    bench: Bench, report: Report, peer: Peer, reader: ImapReader, case: Case, number: int
) -> None:
    def run() -> Sample:
        total_s, size = 0.0, 0
        for _ in range(case.repeats):
            if case.undo:
                reader.ask(case.undo)
            started = time.perf_counter()
            size = reader.ask(case.command).size_bytes
            total_s += time.perf_counter() - started
        asked = case.repeats * (2 if case.undo else 1)
        detail: dict[str, float | int | str] = {"answer_bytes": size, "repeats": case.repeats}
        return Sample(total_s / case.repeats * 1000, Unit.MILLISECONDS, asked, detail)

    bench.record(report, peer, case.name, number, run)
