"""CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 3501 §6.3.3-7, RFC 6154 §3, RFC 8474)."""

from __future__ import annotations

from staffetta.doors.imap.listing import find_folder
from staffetta.doors.imap.session import Session
from staffetta.mailboxes.port import Arrange, Mailbox
from staffetta.protocols.imap import codes, responses
from staffetta.protocols.imap.commands import Create, Delete, Rename, Subscribe, Unsubscribe


async def create(session: Session, command: Create) -> bytes:
    """CREATE; the answer names the new MAILBOXID (RFC 8474 §4.1)."""
    if len(command.special_use) > 1:
        return responses.no(command.tag, "One special use for each mailbox", codes.USEATTR)
    change = Arrange("create", command.mailbox, special_use="".join(command.special_use))

    def job(mailbox: Mailbox) -> str:
        mailbox.arrange(change)
        return find_folder(mailbox.overview(), command.mailbox).folder_id

    folder_id = await session.visit(job, writes=True)
    code = codes.mailbox_id(folder_id.encode("ascii"))
    return responses.ok(command.tag, "CREATE completed", code)


async def delete(session: Session, command: Delete) -> bytes:
    """DELETE. A client that deletes what it has selected hears so and is left without."""
    await _arrange(session, Arrange("delete", command.mailbox))
    session.note_change()
    if session.view is not None and session.view.name == command.mailbox:
        session.view = None
        session.send(responses.untagged_ok("The selected mailbox is gone", codes.CLOSED))
    return responses.ok(command.tag, "DELETE completed")


async def rename(session: Session, command: Rename) -> bytes:
    """RENAME; of INBOX, its messages move to a new folder (RFC 3501 §6.3.5)."""
    await _arrange(session, Arrange("rename", command.mailbox, command.new_name))
    session.note_change()
    return responses.ok(command.tag, "RENAME completed")


async def subscribe(session: Session, command: Subscribe) -> bytes:
    """SUBSCRIBE."""
    await _arrange(session, Arrange("subscribe", command.mailbox))
    return responses.ok(command.tag, "SUBSCRIBE completed")


async def unsubscribe(session: Session, command: Unsubscribe) -> bytes:
    """UNSUBSCRIBE."""
    await _arrange(session, Arrange("unsubscribe", command.mailbox))
    return responses.ok(command.tag, "UNSUBSCRIBE completed")


async def _arrange(session: Session, change: Arrange) -> None:
    await session.visit(lambda mailbox: mailbox.arrange(change), writes=True)
