"""Looking while the client waits in IDLE (RFC 2177)."""

from __future__ import annotations

from staffetta.doors.imap.announcements import Telling
from staffetta.doors.imap.looking import Looker
from staffetta.doors.imap.outage import explain_alert
from staffetta.doors.imap.session import Session
from staffetta.doors.imap.view import ViewBroken
from staffetta.mailboxes.access import CellState, CellUnavailable
from staffetta.mailboxes.port import MailboxDamaged, MailboxIncomplete
from staffetta.protocols.imap import responses
from staffetta.protocols.imap.codes import ALERT


async def look(session: Session) -> bool:
    """Tell an idling client what is new; False if that could not be found out now.

    Its numbers may change (RFC 3501 §7.4.1: a command, IDLE, is in progress). A cell that cannot
    be reached is no reason to disturb it, but for the alert of the day.
    """
    view = session.selected
    looker = Looker(
        Telling(session.hall.tables, modseq=session.condstore),
        may_expunge=True,
        claims_recent=not view.read_only and not session.cell.refuses_writes,
    )
    try:
        view, news = await session.visit(lambda mailbox: looker.look(mailbox, view))
    except (CellUnavailable, MailboxDamaged, MailboxIncomplete) as trouble:
        alert(session, trouble)
        return False
    except ViewBroken as broken:
        session.send(responses.bye(f"Please select again: {broken}"))
        session.output.end()
        return True
    session.adopt(view)
    session.send(news)
    return True


def alert(session: Session, trouble: CellUnavailable | MailboxDamaged | MailboxIncomplete) -> None:
    """Say once a day what is the matter (design §4), once it is certain that something is."""
    if isinstance(trouble, CellUnavailable) and session.cell.state is not CellState.DOWN:
        return
    account = session.signed_in
    if session.hall.alerts.is_due(account.ref.mailbox):
        session.send(responses.untagged_ok(explain_alert(account.language), ALERT))
