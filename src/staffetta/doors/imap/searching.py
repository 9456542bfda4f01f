"""SEARCH (RFC 3501 §6.4.4; RFC 4731, 5032, 7162 §3.1.5, 8474 §6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from staffetta.doors.imap.looking import Looker, read_rows
from staffetta.doors.imap.queries import QueryWriter
from staffetta.doors.imap.session import Session
from staffetta.doors.imap.view import View, join_positions
from staffetta.mailboxes.port import Mailbox
from staffetta.protocols.imap import responses
from staffetta.protocols.imap.commands import Search


@dataclass(frozen=True, slots=True)
class _Found:
    view: View
    news: bytes
    positions: list[int]
    modseq: int | None


async def search(session: Session, command: Search) -> bytes:
    """SEARCH and UID SEARCH, answered in the old form or as ESEARCH."""
    view = session.selected
    if command.has_modseq:
        session.condstore = True  # RFC 7162 §3.1
    work = _Work(command, session.looker(command), session.hall.clock.now_us())
    found = await session.visit(
        lambda mailbox: work.search(mailbox, view), deadline_s=session.hall.settings.search_s
    )
    session.adopt(found.view)
    session.send(found.news)
    uids = found.view.image.uids
    if command.by_uid:
        numbers = [uids[position] for position in found.positions]
    else:
        numbers = [position + 1 for position in found.positions]
    if command.returns is None:
        session.send(responses.search(numbers, found.modseq))
    else:
        session.send(
            responses.esearch(
                command.tag, numbers, command.returns, by_uid=command.by_uid, modseq=found.modseq
            )
        )
    return responses.ok(command.tag, "SEARCH completed")


@dataclass(frozen=True, slots=True)
class _Work:
    """The part of a SEARCH that is done on the cell's thread."""

    command: Search
    looker: Looker
    now_us: int

    def search(self, mailbox: Mailbox, view: View) -> _Found:
        """Look, then search what the client knows of."""
        view, news = self.looker.look(mailbox, view)
        if not view.count:
            return _Found(view, news, [], None)
        query = QueryWriter(mailbox, view, self.now_us).write(self.command.key)
        uids = mailbox.search(view.name, ((1, view.uid_last),), query)
        positions = _locate(view, uids)
        modseq = None
        if self.command.has_modseq and positions:
            spans = view.spans(join_positions(positions))
            wanted = set(uids)
            rows = read_rows(mailbox, view.name, spans)
            modseq = max((row[2] for row in rows if row[0] in wanted), default=None)
        return _Found(view, news, positions, modseq)


def _locate(view: View, uids: Sequence[int]) -> list[int]:
    if len(uids) == view.count:
        return list(range(view.count))
    found = map(view.image.find, uids)
    return [position for position in found if position >= 0]
