"""COPY and MOVE (RFC 3501 §6.4.7, RFC 6851, RFC 4315 §3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from staffetta.doors.imap.session import Session
from staffetta.doors.imap.view import View, join_positions
from staffetta.mailboxes import port
from staffetta.mailboxes.port import Changed, Mailbox, NoSuchFolder
from staffetta.protocols.imap import codes, responses
from staffetta.protocols.imap.commands import Copy, Move
from staffetta.protocols.imap.sequence import pick


@dataclass(frozen=True, slots=True)
class _Copied:
    """The view and the news before the copying, what it did, and view and news after it.

    `changed` is None where nothing was to be copied.
    """

    view: View
    before: bytes
    changed: Changed | None = None
    after: bytes = b""
    some_gone: bool = False


class _NoTarget(Exception):
    """The folder to copy to does not exist."""


async def copy(session: Session, command: Copy) -> bytes:
    """COPY and UID COPY."""
    return await _run(session, command, "COPY")


async def move(session: Session, command: Move) -> bytes:
    """MOVE and UID MOVE."""
    if session.selected.read_only:
        return responses.no(command.tag, "The mailbox is selected read-only", codes.NOPERM)
    return await _run(session, command, "MOVE")


async def _run(session: Session, command: Copy | Move, name: str) -> bytes:
    view = session.selected
    if not command.by_uid and not command.numbers.is_within(view.count):
        return responses.bad(command.tag, "No such message number")
    looker = session.looker(command)
    change = port.Copy(command.mailbox, move=isinstance(command, Move))
    # Numbers are meant as the client knows them: they become UIDs before it learns of others.
    numbered = [] if command.by_uid else _resolve_numbers(view, command)

    def job(mailbox: Mailbox) -> _Copied:
        now, before = looker.look(mailbox, view)
        if command.by_uid:
            positions = command.numbers.locate_uids(now.image.uids)
        else:
            found = [now.image.find(uid) for uid in numbered]
            if -1 in found:
                return _Copied(now, before, some_gone=True)
            positions = join_positions(found)
        if not positions:
            return _Copied(now, before)
        try:
            changed = mailbox.change(now.name, now.spans(positions), change)
        except NoSuchFolder as absent:
            raise _NoTarget from absent
        now, after = looker.look(mailbox, now)
        return _Copied(now, before, changed, after)

    try:
        done = await session.visit(job, writes=True)
    except _NoTarget:
        return responses.no(command.tag, "No such mailbox to copy to", codes.TRYCREATE)
    session.adopt(done.view)
    if done.changed is not None and done.changed.copied:
        session.note_change()
    return _answer(session, command, name, done)


def _answer(session: Session, command: Copy | Move, name: str, done: _Copied) -> bytes:
    session.send(done.before)
    if done.some_gone:
        # RFC 2180 §4.4.1: all or nothing.
        return responses.no(command.tag, "Some of the messages are gone", codes.EXPUNGEISSUED)
    code = _copy_uid(done.changed)
    if isinstance(command, Move) and code is not None:
        # RFC 6851 §4.3: before the EXPUNGE responses, so that the client knows where they went.
        session.send(responses.untagged_ok("Moved", code))
        code = None
    session.send(done.after)
    return responses.ok(command.tag, f"{name} completed", code)


def _resolve_numbers(view: View, command: Copy | Move) -> Sequence[int]:
    return pick(view.image.uids, command.numbers.locate_numbers(view.count))


def _copy_uid(changed: Changed | None) -> bytes | None:
    if changed is None or not changed.copied:
        return None
    source, destination = zip(*sorted(changed.copied), strict=True)
    return codes.copy_uid(changed.target_uid_validity, source, destination)
