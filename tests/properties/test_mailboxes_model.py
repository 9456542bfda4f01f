"""The store on SQLite does what the store in memory does, whatever is asked of it in turn.

Two `SqliteCell`s on one directory stand for the two processes that use a cell: each step goes
to one of them, chosen at random.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from staffetta.mailboxes.files import FileSettings
from staffetta.mailboxes.port import (
    INBOX,
    Arrange,
    Cell,
    Change,
    Column,
    Copy,
    Expunge,
    FlagChange,
    FolderExists,
    FolderRefused,
    Mailbox,
    MailboxRef,
    NoSuchFolder,
    OverQuota,
    Query,
    SetFlags,
)
from tests.mailbox_rig import (
    EVERYTHING,
    NOON_US,
    deliver,
    delivery,
    mail,
    make_memory_cell,
    make_sqlite_cell,
)

REF = MailboxRef(259, 7, quota_bytes=6_000)
REFUSALS = (NoSuchFolder, FolderExists, FolderRefused, OverQuota)

FOLDERS = st.sampled_from([INBOX, "inbox", "Sent", "Archive", "a", "a/b", "a/b/c", "z", "a//b"])
WORDS = st.sampled_from(["alfa", "beta", "alfabeta", "perché", "x.y", "ßen", "a", "", "\x00"])
TEXTS = st.lists(WORDS, max_size=4).map(" ".join)
CONTENTS = st.builds(
    lambda subject, body, sender: mail(subject, body, From=sender), TEXTS, TEXTS, TEXTS
)
UIDS = st.lists(
    st.tuples(st.integers(1, 12), st.integers(0, 4)).map(lambda pair: (pair[0], sum(pair))),
    max_size=2,
).map(lambda ranges: sorted(ranges)[:1] or [(1, 99)])
FLAGS = st.integers(0, 31)
KEYWORDS = st.lists(st.sampled_from(["$A", "$b", "$a", "c"]), max_size=2).map(tuple)
CHANGES: st.SearchStrategy[Change] = st.one_of(
    st.builds(
        SetFlags, st.sampled_from(FlagChange), FLAGS, KEYWORDS, st.none() | st.integers(1, 20)
    ),
    st.builds(Copy, FOLDERS, st.booleans()),
    st.builds(Expunge, st.booleans()),
)
ARRANGES = st.one_of(
    st.builds(Arrange, st.sampled_from(["create", "delete", "subscribe"]), FOLDERS),
    st.builds(Arrange, st.just("rename"), FOLDERS, FOLDERS),
)
LEAVES = st.one_of(
    st.builds(Query, st.sampled_from(["TEXT", "BODY"]), TEXTS),
    st.builds(
        Query, st.just("HEADER"), TEXTS, st.sampled_from(["from", "Subject", "x-none", "date"])
    ),
    st.builds(Query, st.sampled_from(["HAS", "LACKS"]), flags=FLAGS),
    st.builds(Query, st.sampled_from(["KEYWORD", "UNKEYWORD"]), st.sampled_from(["$a", "d"])),
    st.builds(Query, st.sampled_from(["LARGER", "SMALLER"]), number=st.integers(50, 200)),
    st.builds(Query, st.just("MODSEQ"), number=st.integers(1, 20)),
    st.builds(Query, st.just("UID"), ranges=UIDS.map(tuple)),
)
QUERIES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Query, st.sampled_from(["AND", "OR"]), queries=st.tuples(inner, inner)),
        st.builds(Query, st.just("NOT"), queries=st.tuples(inner)),
    ),
    max_leaves=4,
)
COMPARED = [
    Column.SIZE,
    Column.AT_US,
    Column.ENVELOPE,
    Column.BODYSTRUCTURE,
    Column.BODY,
    Column.HEADER,
    Column.CONTENT,
    Column.RECEIPT,
]


def attempt(job: Callable[[], Any]) -> Any:
    """What a job returns, or the kind of its refusal."""
    try:
        return job()
    except REFUSALS as refusal:
        return type(refusal)


class Mailboxes(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        few = FileSettings(open_files_max=1)
        self.model: Cell = make_memory_cell()
        self.cells = [make_sqlite_cell(self.root, settings=few, seed=n) for n in range(2)]
        self.receipts = 0
        self.restarts = 0
        self.modseqs = [0]

    def teardown(self) -> None:
        for cell in self.cells:
            cell.close()
        shutil.rmtree(self.root)

    def both(self, turn: int, job: Callable[[Mailbox], Any]) -> Any:
        wanted = attempt(lambda: job(self.model.open(REF)))
        found = attempt(lambda: job(self.cells[turn].open(REF)))
        assert found == wanted
        return wanted

    @initialize(contents=st.lists(CONTENTS, min_size=3, max_size=8))
    def begin(self, contents: list[bytes]) -> None:
        self.deliver(0, contents, INBOX)

    @rule(turn=st.integers(0, 1), contents=st.lists(CONTENTS, max_size=3), folder=FOLDERS)
    def deliver(self, turn: int, contents: list[bytes], folder: str) -> None:
        new = []
        for content in contents:
            self.receipts += 1
            new.append(delivery(self.receipts, content, folder=folder))
        assert deliver(self.cells[turn], new, REF) == deliver(self.model, new, REF)

    @precondition(lambda self: self.receipts)
    @rule(turn=st.integers(0, 1), data=st.data())
    def deliver_again(self, turn: int, data: st.DataObject) -> None:
        again = [delivery(data.draw(st.integers(1, self.receipts)), folder="a")]
        wanted, found = deliver(self.model, again, REF), deliver(self.cells[turn], again, REF)
        assert found == wanted

    @rule(turn=st.integers(0, 1), folder=FOLDERS, uids=UIDS, change=CHANGES)
    def change(self, turn: int, folder: str, uids: list[tuple[int, int]], change: Change) -> None:
        self.both(turn, lambda mailbox: mailbox.change(folder, uids, change))

    @rule(turn=st.integers(0, 1), folder=FOLDERS, content=CONTENTS, flags=FLAGS, names=KEYWORDS)
    def append(
        self, turn: int, folder: str, content: bytes, flags: int, names: tuple[str, ...]
    ) -> None:
        self.both(turn, lambda box: box.append(folder, content, flags, names, NOON_US + 5))

    @rule(turn=st.integers(0, 1), arrange=ARRANGES)
    def arrange(self, turn: int, arrange: Arrange) -> None:
        self.both(turn, lambda mailbox: mailbox.arrange(arrange))

    @rule(turn=st.integers(0, 1), folder=FOLDERS, uids=UIDS, query=QUERIES)
    def search(self, turn: int, folder: str, uids: list[tuple[int, int]], query: Query) -> None:
        self.both(turn, lambda mailbox: mailbox.search(folder, uids, query))

    @rule(turn=st.integers(0, 1), folder=FOLDERS, claim=st.booleans(), data=st.data())
    def look(self, turn: int, folder: str, claim: bool, data: st.DataObject) -> None:
        since = data.draw(st.sampled_from(self.modseqs[-5:]))
        found = self.both(turn, lambda mailbox: mailbox.snapshot(folder, since, claim))
        if not isinstance(found, type):
            self.modseqs.append(found.modseq)

    @rule(turn=st.integers(0, 1), limit=st.integers(1, 5))
    def index(self, turn: int, limit: int) -> None:
        self.cells[turn].index_pending(limit)

    @rule(turn=st.integers(0, 1))
    def restart(self, turn: int) -> None:
        self.cells[turn].close()
        self.restarts += 1
        self.cells[turn] = make_sqlite_cell(self.root, seed=100 + self.restarts)

    @invariant()
    def agree(self) -> None:
        overview = self.both(0, lambda mailbox: mailbox.overview())
        for folder in overview.folders:
            if folder.selectable:
                self.both(1, lambda mailbox, name=folder.name: mailbox.snapshot(name))
                self.both(
                    0,
                    lambda mailbox, name=folder.name: [
                        row for chunk in mailbox.fetch(name, EVERYTHING, COMPARED) for row in chunk
                    ],
                )
        assert self.cells[0].check(REF).problems == []


Mailboxes.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestMailboxes = Mailboxes.TestCase
