"""STORE (RFC 3501 §6.4.6; RFC 7162 §3.1.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from staffetta.doors.imap.announcements import announce_modseqs, announce_updates
from staffetta.doors.imap.flags import split_names
from staffetta.doors.imap.looking import Looker, read_rows
from staffetta.doors.imap.session import Session
from staffetta.doors.imap.view import Row, View, note_changes, number_rows
from staffetta.mailboxes.port import FlagChange, Mailbox, SetFlags
from staffetta.protocols.imap import codes, responses
from staffetta.protocols.imap.commands import Store, StoreMode
from staffetta.protocols.imap.sequence import count_in

_CHANGES = {
    StoreMode.REPLACE: FlagChange.REPLACE,
    StoreMode.ADD: FlagChange.ADD,
    StoreMode.REMOVE: FlagChange.REMOVE,
}


@dataclass(frozen=True, slots=True)
class _Stored:
    """The view after it, what to send, the numbers or UIDs that were refused, and whether
    messages were gone or changed."""

    view: View
    octets: bytes
    refused: list[int]
    some_gone: bool
    has_changed: bool


async def store(session: Session, command: Store) -> bytes:
    """STORE and UID STORE."""
    view = session.selected
    if view.read_only:
        return responses.no(command.tag, "The mailbox is selected read-only", codes.NOPERM)
    if not command.by_uid and not command.numbers.is_within(view.count):
        return responses.bad(command.tag, "No such message number")
    if command.unchanged_since is not None:
        session.condstore = True  # RFC 7162 §3.1
    work = _Work(command, session.looker(command))
    done = await session.visit(lambda mailbox: work.store(mailbox, view), writes=True)
    session.adopt(done.view)
    if done.has_changed:
        session.note_change()
    session.send(done.octets)
    code = codes.modified(done.refused) if done.refused else None
    if done.some_gone and not command.by_uid:
        # RFC 2180 §4.2.2: those that are there were changed.
        return responses.no(command.tag, "Some of the messages are gone", codes.EXPUNGEISSUED)
    return responses.ok(command.tag, "STORE completed", code)


@dataclass(frozen=True, slots=True)
class _Work:
    """The part of a STORE that is done on the cell's thread."""

    command: Store
    looker: Looker

    def store(self, mailbox: Mailbox, view: View) -> _Stored:
        """Look, change, and say what has come of it."""
        command = self.command
        view, news = self.looker.look(mailbox, view)
        if command.by_uid:
            positions = command.numbers.locate_uids(view.image.uids)
        else:
            positions = command.numbers.locate_numbers(view.count)
        if not positions:
            return _Stored(view, news, [], False, False)
        flags, keywords = split_names(command.flags)
        change = SetFlags(_CHANGES[command.mode], flags, keywords, command.unchanged_since)
        changed = mailbox.change(view.name, view.spans(positions), change)
        rows: Sequence[Row] = changed.rows
        wanted = count_in(positions) - len(changed.refused)
        some_gone = False
        if len(rows) < wanted and not command.silent:
            # Those that had the flags already are answered too (RFC 3501 §7.4.2).
            refused = set(changed.refused)
            spans = view.spans(positions)
            found = read_rows(mailbox, view.name, spans)
            rows = [(row[0], row[1], row[2]) for row in found if row[0] not in refused]
            some_gone = len(rows) < wanted
        view, lines = self._tell(mailbox, view, rows, changed.modseq)
        refused_numbers = [
            uid if command.by_uid else view.image.find(uid) + 1 for uid in changed.refused
        ]
        return _Stored(view, news + lines, refused_numbers, some_gone, bool(changed.rows))

    def _tell(
        self, mailbox: Mailbox, view: View, rows: Sequence[Row], modseq: int
    ) -> tuple[View, bytes]:
        view = note_changes(view, rows)
        telling = self.looker.telling
        new_keywords = not set(split_names(self.command.flags)[1]) <= set(view.keywords)
        if new_keywords or modseq > view.modseq + 1:
            # FLAGS must come before the FETCH that shows a new keyword (RFC 3501 §7.2.6).
            view, news = self.looker.look(mailbox, view, told=frozenset(rows))
            rows = [row for row in rows if view.image.find(row[0]) >= 0]
        else:
            view, news = view.at(modseq), b""  # nobody else has been here since the look
        if not rows or (self.command.silent and not telling.modseq):
            return view, news
        numbers = number_rows(view, rows)
        if self.command.silent:
            return view, news + announce_modseqs(numbers, rows)
        return view, news + announce_updates(numbers, rows, view, telling)
