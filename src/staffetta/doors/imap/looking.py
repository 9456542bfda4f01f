"""Looking at the selected folder: what is new since the client was last told.

Every command in the selected state looks first, in the same visit to the cell in which it does
its work; so does IDLE when it is woken. All of this runs on a thread of the cell.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from itertools import chain
from typing import Any

from staffetta.doors.imap.announcements import Telling, announce
from staffetta.doors.imap.view import Row, View, ViewBroken, advance
from staffetta.mailboxes.port import Column, Mailbox, NoSuchFolder, Snapshot


@dataclass(frozen=True, slots=True)
class Looker:
    """How one command looks.

    `may_expunge`: whether the client's numbers may change now. `claims_recent`: whether this
    session takes new messages as \\Recent, which is a write.
    """

    telling: Telling
    may_expunge: bool
    claims_recent: bool

    def look(
        self, mailbox: Mailbox, view: View, told: Set[Row] = frozenset()
    ) -> tuple[View, bytes]:
        """The folder as it is now, and what to send to the client before anything else.

        `told`: rows that the client hears of in another way. Raises `ViewBroken` where the
        folder is there no more.
        """
        snapshot = self._find(mailbox, view)
        view, news = advance(view, snapshot, self.may_expunge, self.telling.modseq, told)
        return view, announce(news, view, self.telling)

    def _find(self, mailbox: Mailbox, view: View) -> Snapshot:
        try:
            snapshot = mailbox.snapshot(view.name, view.modseq, self.claims_recent)
            if snapshot.folder.folder_id == view.folder_id:
                return snapshot
        except NoSuchFolder:
            pass
        # Somebody else has renamed or deleted it: it is found by what survives a renaming.
        for folder in mailbox.overview().folders:
            if folder.folder_id == view.folder_id:
                return mailbox.snapshot(folder.name, view.modseq, self.claims_recent)
        raise ViewBroken("the selected mailbox has been deleted")


def read_rows(
    mailbox: Mailbox,
    folder: str,
    spans: Sequence[tuple[int, int]],
    columns: Sequence[Column] = (),
) -> list[tuple[Any, ...]]:
    """All rows of a `Mailbox.fetch` whose columns are small: uid, flags, modseq, columns."""
    return list(chain.from_iterable(mailbox.fetch(folder, spans, columns)))
