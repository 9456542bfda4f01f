"""How fast the IMAP grammar is by itself: ``python -m benchmarks.imap_machine``.

CPU time of this process, best of several rounds, so that a busy machine disturbs little. Nothing
here touches a disk or a socket.
"""

from __future__ import annotations

import sys
import time
from array import array
from collections.abc import Callable
from random import Random

from rich.console import Console
from rich.table import Table

from staffetta.protocols.imap import responses
from staffetta.protocols.imap.attributes import FetchItem
from staffetta.protocols.imap.commands import BadCommand
from staffetta.protocols.imap.criteria import SearchReturn
from staffetta.protocols.imap.fetch_lines import (
    FetchLayout,
    FlagTable,
    fetch_lines,
    format_date_times,
    literal_pieces,
)
from staffetta.protocols.imap.frames import CommandFrame, ImapReceiver, limits_after_login
from staffetta.protocols.imap.mailbox_names import ListPattern
from staffetta.protocols.imap.parser import parse_command
from staffetta.protocols.imap.sequence import SequenceSet, format_numbers

ROUNDS = 9
MESSAGES = 12_000
MANY = 100_000
COMMANDS = [
    b"a1 NOOP",
    b"a1 SELECT INBOX",
    b"a1 UID FETCH 1:* (FLAGS)",
    b"a1 UID FETCH 5120 (UID RFC822.SIZE BODY.PEEK[])",
    b"a1 UID FETCH 1:500,600 (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Bcc "
    b"Subject Date Message-ID Priority X-Priority References Newsgroups In-Reply-To "
    b"Content-Type Reply-To)])",
    b"a1 UID STORE 17 +FLAGS.SILENT (\\Seen \\Deleted)",
    b'a1 LIST "" "*"',
    b'a1 STATUS "Posta inviata" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)',
    b'a1 UID SEARCH RETURN (ALL) UNDELETED SINCE 1-Feb-2024 OR FROM "x" SUBJECT "y"',
]
FLAGS = ["\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft", "$Junk"]


def best_s(work: Callable[[], object], times: int = 1) -> float:
    """CPU seconds of one `work()`: the best of `ROUNDS`, each of `times` in a row."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(times):
            work()
        best = min(best, time.process_time() - start)
    return best / times


def measure_commands(table: Table) -> None:
    """Octets to frame, frame to command."""
    for line in COMMANDS:
        receiver = ImapReceiver(limits_after_login(0))
        octets = line + b"\r\n"
        frame = CommandFrame(line)
        assert not isinstance(parse_command(frame), BadCommand)

        def find_frame(receiver: ImapReceiver = receiver, octets: bytes = octets) -> None:
            receiver.receive(octets)
            assert receiver.next_event() is not None
            assert receiver.next_event() is None

        def parse(frame: CommandFrame = frame) -> None:
            parse_command(frame)

        frame_us = 1e6 * best_s(find_frame, 2000)
        parse_us = 1e6 * best_s(parse, 2000)
        shown = line.decode() if len(line) < 60 else line.decode()[:57] + "..."
        table.add_row(shown, f"{frame_us:.1f} + {parse_us:.1f} µs")


def measure_fetch(table: Table) -> None:
    """Lines of FETCH, joined from columns."""
    chance = Random(1)
    numbers = range(1, MESSAGES + 1)
    uids = array("I", range(100_000, 100_000 + 2 * MESSAGES, 2))
    masks = [chance.randrange(1 << len(FLAGS)) for _ in numbers]
    modseqs = [chance.randrange(10**9) for _ in numbers]
    envelopes = [b"(%b)" % bytes(400) for _ in numbers]
    bodies = [bytes([1]) * 20_000] * MESSAGES
    flags = FlagTable[int](lambda mask: [f for bit, f in enumerate(FLAGS) if mask >> bit & 1])
    uid_flags = FetchLayout.of([FetchItem.UID, FetchItem.FLAGS])
    uid_flags_modseq = FetchLayout.of([FetchItem.UID, FetchItem.FLAGS, FetchItem.MODSEQ])
    uid_envelope = FetchLayout.of([FetchItem.UID, FetchItem.ENVELOPE])

    def add(name: str, work: Callable[[], object]) -> None:
        table.add_row(name, f"{MESSAGES / best_s(work):,.0f} lines/s")

    add(
        "UID FLAGS",
        lambda: fetch_lines(uid_flags, numbers, uids, map(flags.__getitem__, masks)),
    )
    add(
        "UID FLAGS MODSEQ",
        lambda: fetch_lines(
            uid_flags_modseq, numbers, uids, map(flags.__getitem__, masks), modseqs
        ),
    )
    add("UID ENVELOPE (400 octets)", lambda: fetch_lines(uid_envelope, numbers, uids, envelopes))
    add("UID BODY[] (20 kB), in pieces", lambda: literal_pieces(b"BODY[]", numbers, uids, bodies))
    add("INTERNALDATE column", lambda: format_date_times(modseqs))


def measure_sets(table: Table) -> None:
    """Sequence sets of a large mailbox."""
    every_other = list(range(1, 2 * MANY, 2))
    uids = list(range(1, 2 * MANY + 1))
    scattered = SequenceSet.parse(format_numbers(every_other[:10_000]))
    wire = bytes(scattered)
    found = frozenset(SearchReturn)
    works: list[tuple[str, Callable[[], object]]] = [
        ("format 100,000 in one run", lambda: format_numbers(uids[:MANY])),
        ("format 100,000 without neighbours", lambda: format_numbers(every_other)),
        ("parse a set of 10,000 numbers", lambda: SequenceSet.parse(wire)),
        ("locate 10,000 single UIDs in 200,000", lambda: scattered.locate_uids(uids)),
        ("locate 1:* in 200,000", lambda: SequenceSet.parse(b"1:*").locate_uids(uids)),
        (
            "ESEARCH of 100,000 without neighbours",
            lambda: responses.esearch(b"a", every_other, found, by_uid=True),
        ),
        ("SEARCH of 100,000", lambda: responses.search(every_other)),
    ]
    for name, work in works:
        table.add_row(name, f"{1000 * best_s(work):.2f} ms")
    pattern = ListPattern("*a*b*/%c%")
    names = [f"Cartella {at}/abc/{at}c" for at in range(1000)]
    each_us = 1e3 * best_s(lambda: [pattern.matches(name) for name in names])
    table.add_row("match a LIST pattern with five wildcards", f"{each_us:.1f} µs a name")


def main() -> None:
    """Measure everything, print one table."""
    table = Table(title=f"IMAP machine, Python {sys.version.split()[0]}, CPU time")
    table.add_column("what", no_wrap=True)
    table.add_column("measured", justify="right")
    measure_commands(table)
    table.add_section()
    measure_fetch(table)
    table.add_section()
    measure_sets(table)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
