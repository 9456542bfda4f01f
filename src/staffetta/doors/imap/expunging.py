"""EXPUNGE and UID EXPUNGE (RFC 3501 §6.4.3, RFC 4315 §2.1)."""

from __future__ import annotations

from staffetta.doors.imap.session import Session
from staffetta.doors.imap.view import View
from staffetta.mailboxes.port import DELETED, Expunge, Mailbox
from staffetta.protocols.imap import codes, commands, responses
from staffetta.protocols.imap.sequence import SequenceSet

_ALL = SequenceSet(((1, 0),))


async def expunge(session: Session, command: commands.Expunge) -> bytes:
    """Both forms: all messages with \\Deleted, or those of a set."""
    view = session.selected
    if view.read_only:
        return responses.no(command.tag, "The mailbox is selected read-only", codes.NOPERM)
    looker = session.looker(command)
    wanted = command.uids or _ALL

    def job(mailbox: Mailbox) -> tuple[View, bytes, bool]:
        now, news = looker.look(mailbox, view)
        positions = wanted.locate_uids(now.image.uids)
        flags = now.image.flags
        if not any(flags[position] & DELETED for span in positions for position in span):
            return now, news, False
        changed = mailbox.change(now.name, now.spans(positions), Expunge())
        now, more = looker.look(mailbox, now)
        return now, news + more, bool(changed.vanished)

    view, news, has_changed = await session.visit(job, writes=True)
    session.adopt(view)
    if has_changed:
        session.note_change()
    session.send(news)
    # RFC 7162 §3.2.7 asks for the code under QRESYNC; under CONDSTORE it saves a STATUS.
    code = codes.highest_modseq(max(view.highest_modseq, 1)) if session.condstore else None
    return responses.ok(command.tag, "EXPUNGE completed", code)
