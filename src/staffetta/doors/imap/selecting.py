"""SELECT, EXAMINE, CLOSE, UNSELECT, NOOP and CHECK (RFC 3501 §6.3.1, §6.4; RFC 3691)."""

from __future__ import annotations

from staffetta.doors.imap.announcements import announce_flags
from staffetta.doors.imap.session import Session
from staffetta.doors.imap.view import View, open_view
from staffetta.mailboxes.access import CellUnavailable
from staffetta.mailboxes.port import DELETED, Expunge, Mailbox
from staffetta.protocols.imap import codes, responses
from staffetta.protocols.imap.commands import Check, Close, Noop, Select, Unselect


async def select(session: Session, command: Select) -> bytes:
    """SELECT and EXAMINE. Whatever comes of it, the folder selected before is left."""
    read_only = command.read_only
    claims_recent = not read_only and not session.cell.refuses_writes
    was_selected = session.view is not None
    session.view = None
    if was_selected:
        # RFC 7162 §3.2.11: the client learns where the old folder's responses end.
        session.send(responses.untagged_ok("Previous mailbox closed", codes.CLOSED))

    def job(mailbox: Mailbox) -> View:
        snapshot = mailbox.snapshot(command.mailbox, claim_recent=claims_recent)
        return open_view(snapshot, read_only)

    view = await session.visit(job)
    session.adopt(view)
    session.condstore = session.condstore or command.condstore
    session.send(_describe(view))
    if read_only:
        return responses.ok(command.tag, "EXAMINE completed", codes.READ_ONLY)
    return responses.ok(command.tag, "SELECT completed", codes.READ_WRITE)


def _describe(view: View) -> bytes:
    parts = [
        announce_flags(view),
        responses.exists(view.count),
        responses.recent(view.count_recent()),
        responses.untagged_ok("UIDs valid", codes.uid_validity(view.uid_validity)),
        responses.untagged_ok("Predicted next UID", codes.uid_next(view.uid_next)),
        responses.untagged_ok("Highest", codes.highest_modseq(max(view.highest_modseq, 1))),
        responses.untagged_ok("Ok", codes.mailbox_id(view.folder_id.encode("ascii"))),
    ]
    unseen = view.find_first_unseen()
    if unseen:
        parts.insert(3, responses.untagged_ok("First unseen", codes.unseen(unseen)))
    return b"".join(parts)


async def no_op(session: Session, command: Noop) -> bytes:
    """NOOP: what is new. It always succeeds (RFC 3501 §6.1.2), be the cell as it may."""
    if session.view is not None:
        try:
            await _look(session, command)
        except CellUnavailable:
            return responses.ok(command.tag, "NOOP completed, but nothing could be looked up")
    return responses.ok(command.tag, "NOOP completed")


async def check(session: Session, command: Check) -> bytes:
    """CHECK: everything that was answered is durable already; what is new."""
    await _look(session, command)
    return responses.ok(command.tag, "CHECK completed")


async def _look(session: Session, command: Noop | Check) -> None:
    view = session.selected
    looker = session.looker(command)
    view, news = await session.visit(lambda mailbox: looker.look(mailbox, view))
    session.adopt(view)
    session.send(news)


async def close(session: Session, command: Close) -> bytes:
    """CLOSE: expunge without a word, and leave."""
    view = session.selected
    if not view.read_only and any(flags & DELETED for flags in view.image.flags):
        looker = session.looker(command)

        def job(mailbox: Mailbox) -> None:
            now, _ = looker.look(mailbox, view)
            mailbox.change(now.name, ((1, now.uid_last),), Expunge())

        await session.visit(job, writes=True)
        session.note_change()
    session.view = None
    return responses.ok(command.tag, "CLOSE completed")


async def unselect(session: Session, command: Unselect) -> bytes:
    """UNSELECT: leave without expunging. Touches no cell."""
    session.view = None
    return responses.ok(command.tag, "UNSELECT completed")
