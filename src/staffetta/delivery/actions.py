"""Replaying on the mailbox what its owner did in the emergency inbox.

Actions name messages by receipt. All of them may be replayed twice: flags are set to what they
are, a message that has been moved or deleted is not found again where it was, and the copy of a
reply is delivered under the action's own id.
"""

from __future__ import annotations

from staffetta.log.facts import Acted
from staffetta.log.port import Entry
from staffetta.mailboxes.port import (
    ANSWERED,
    FLAGGED,
    SEEN,
    Arrange,
    Cell,
    Change,
    Copy,
    Delivery,
    FlagChange,
    FolderExists,
    FolderRefused,
    MailboxBatch,
    MailboxRef,
    NoSuchFolder,
    Outcome,
    SetFlags,
)

TRASH = "Trash"
SENT = "Sent"

_FLAG_VERBS: dict[str, tuple[FlagChange, int]] = {
    "read": (FlagChange.ADD, SEEN),
    "unread": (FlagChange.REMOVE, SEEN),
    "flag": (FlagChange.ADD, FLAGGED),
    "unflag": (FlagChange.REMOVE, FLAGGED),
    "answered": (FlagChange.ADD, ANSWERED),
}


def apply_action(
    cell: Cell, ref: MailboxRef, entry: Entry, fact: Acted, content: bytes
) -> Outcome | None:
    """Carry out one action. For a copy to be kept: what became of it, not durable yet; all else
    is durable on return. Raises `VolumeFault` when the cell cannot do it now, `MailboxDamaged`,
    `MailboxIncomplete`."""
    if fact.verb == "sent":
        delivery = Delivery(entry.receipt, 0, entry.at_us, content, folder=SENT, flags=SEEN)
        return cell.deliver([MailboxBatch(ref, [delivery])])[0][0]
    mailbox = cell.open(ref)
    target = TRASH if fact.verb == "delete" else fact.folder
    change: Change
    if fact.verb in _FLAG_VERBS:
        how, flags = _FLAG_VERBS[fact.verb]
        change = SetFlags(how, flags)
    else:
        change = Copy(target, move=True)
    for _, folder, uid in mailbox.locate(fact.receipts):
        if isinstance(change, Copy) and folder == target:
            continue
        try:
            mailbox.change(folder, [(uid, uid)], change)
        except NoSuchFolder:
            # The folder a person chose is gone since, or was never made on this side.
            try:
                mailbox.arrange(Arrange("create", target))
            except FolderExists:
                continue  # it was the source that vanished: there is nothing left to move
            except FolderRefused:
                continue  # no folder can have that name: the message stays where it is
            mailbox.change(folder, [(uid, uid)], change)
    return None
