"""APPEND (RFC 3501 §6.3.11, RFC 4315 §3)."""

from __future__ import annotations

from staffetta.doors.imap.flags import split_names
from staffetta.doors.imap.session import Session
from staffetta.doors.imap.view import View
from staffetta.mailboxes.port import Appended, Mailbox, NoSuchFolder
from staffetta.protocols.imap import codes, responses
from staffetta.protocols.imap.commands import Append

US = 1_000_000


class _NoTarget(Exception):
    """The folder to append to does not exist."""


async def append(session: Session, command: Append) -> bytes:
    """APPEND."""
    message = command.message
    if not message:
        return responses.no(command.tag, "The message is empty", codes.CANNOT)
    if b"\0" in message:
        # RFC 3501 §9 `CHAR8`: what holds a NUL could not be given back as it is.
        return responses.no(command.tag, "The message holds a NUL", codes.CANNOT)
    at_us = session.hall.clock.now_us()
    if command.internal_date is not None:
        at_us = int(command.internal_date.timestamp()) * US
    flags, keywords = split_names(command.flags)
    view = session.view
    looker = session.looker(command) if view is not None else None

    def job(mailbox: Mailbox) -> tuple[Appended, View | None, bytes]:
        try:
            appended = mailbox.append(command.mailbox, message, flags, keywords, at_us)
        except NoSuchFolder as absent:
            raise _NoTarget from absent
        if view is None or looker is None:
            return appended, None, b""
        return appended, *looker.look(mailbox, view)

    try:
        appended, now, news = await session.visit(job, writes=True)
    except _NoTarget:
        return responses.no(command.tag, "No such mailbox to append to", codes.TRYCREATE)
    if now is not None:
        session.adopt(now)
        session.send(news)
    session.note_change()
    code = codes.append_uid(appended.uid_validity, appended.uid)
    return responses.ok(command.tag, "APPEND completed", code)
