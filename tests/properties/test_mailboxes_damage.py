"""Whatever is overwritten in a mailbox file, a rebuild makes a mailbox that holds together.

What the log has delivered is there again unless its owner had deleted it, bytes and UIDs are the
same, and nothing that is given next was ever given before.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from staffetta.mailboxes.port import (
    INBOX,
    SEEN,
    Copy,
    Delivery,
    Expunge,
    FlagChange,
    MailboxDamaged,
    SetFlags,
)
from staffetta.mailboxes.progress import finish
from staffetta.mailboxes.rebuilding import rebuild
from staffetta.mailboxes.roster import path_of
from tests.mailbox_rig import NOON_US, REF, contents, delivery, fill, mail, make_sqlite_cell

MESSAGES = [mail(f"m{n}", "x" * n * 90) for n in range(1, 31)]
DELETED = {3, 4}
MOVED = {5, 6, 7}

DAMAGE = st.lists(
    st.tuples(st.floats(0, 1), st.integers(1, 9_000), st.integers(0, 255)), min_size=1, max_size=6
)


@settings(max_examples=25)
@given(damage=DAMAGE, truncated=st.one_of(st.none(), st.floats(0, 1)))
def test_a_rebuild_holds_together(
    damage: list[tuple[float, int, int]], truncated: float | None
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        cell = make_sqlite_cell(Path(directory))
        fill(cell, MESSAGES)
        mailbox = cell.open(REF)
        mailbox.change(INBOX, [(1, 9)], SetFlags(FlagChange.ADD, SEEN, ("Work",)))
        mailbox.change(INBOX, [(3, 4)], Expunge(whatever_flags=True))
        mailbox.change(INBOX, [(5, 7)], Copy("Archive", move=True))
        mailbox.append("Sent", mail("mine"), 0, (), NOON_US)
        before = {folder.name: folder for folder in mailbox.overview().folders}
        with cell.files.borrow(REF) as opened:
            opened.database.row("PRAGMA wal_checkpoint(TRUNCATE)")
        cell.close()
        file = Path(directory) / "one" / path_of(REF.mailbox)
        spoil(file, damage, truncated)

        log = [
            Delivery(one.receipt, 0, one.at_us, one.content, INBOX, 0, uid)
            for uid, one in enumerate((delivery(n, c) for n, c in enumerate(MESSAGES, 1)), 1)
        ]
        try:
            cell.check(REF)
        except MailboxDamaged as unforeseen:
            raise AssertionError("a check tells, it does not raise") from unforeseen
        finish(rebuild(cell.files, REF, log, NOON_US))

        assert cell.check(REF).problems == []
        after = {folder.name: folder for folder in mailbox.overview().folders}
        for name, folder in before.items():
            if name in after:
                assert after[name].uid_next >= folder.uid_next
                assert after[name].uid_validity >= folder.uid_validity
        found = contents(mailbox)
        for uid in set(range(1, 31)) - DELETED - MOVED:
            assert found[uid] == MESSAGES[uid - 1]
        elsewhere = {
            content
            for name in after
            if name != INBOX
            for content in contents(mailbox, name).values()
        }
        for uid in MOVED:
            assert MESSAGES[uid - 1] in {found.get(uid), *elsewhere}
        cell.close()


def spoil(file: Path, damage: list[tuple[float, int, int]], truncated: float | None) -> None:
    raw = bytearray(file.read_bytes())
    for place, length, byte in damage:
        start = int(place * len(raw))
        raw[start : start + length] = bytes([byte]) * min(length, len(raw) - start)
    file.write_bytes(raw if truncated is None else raw[: int(truncated * len(raw))])
