"""What the SMTP door decides: who may be written to, and what may come in.

Pure functions and one small class; the connection asks them and sends what they say. A permanent
no about a recipient comes only from a recipient table that is healthy and fresh.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from staffetta.directory.recipients import (
    Doubt,
    Known,
    NoSuchUser,
    NotOurs,
    Recipients,
    Target,
    Unsure,
)
from staffetta.directory.records import MailboxState
from staffetta.log.facts import Recipient
from staffetta.protocols.smtp.events import (
    MailGiven,
    RecipientGiven,
    RecipientParameters,
)
from staffetta.protocols.smtp.replies import Reply

# How far into a message its Message-ID and Received fields are looked for.
HEADER_LOOK_BYTES = 64 * 1024
MESSAGE_ID_CHARACTERS_MAX = 998

NO_SUCH_USER = Reply(550, "5.1.1", "No such user here")
RELAY_DENIED = Reply(550, "5.7.1", "We do not take mail for that domain")
MAILBOX_CLOSED = Reply(550, "5.2.1", "This mailbox has been closed")
TOO_BIG_FOR_RECIPIENT = Reply(552, "5.3.4", "Message too big for this recipient")
CANNOT_SAY_NOW = Reply(451, "4.3.0", "Cannot look this recipient up now, try again later")
LOG_BROKEN = Reply(451, "4.3.0", "Cannot keep mail safely now, try again later")
LOG_FULL = Reply(452, "4.3.1", "No room to keep mail safely now, try again later")
LOG_BUSY = Reply(451, "4.3.2", "Too much mail at once, try again later")
TOO_MANY_HOPS = Reply(554, "5.4.6", "This message goes round in circles: too many hops")

# In these doubts the domain is known to be ours and the copy of the table is sound, only old:
# the message goes to the unverified lane. In the others nothing can be said at all.
_LANE_DOUBTS = frozenset({Doubt.STALE, Doubt.DANGLING})

_MESSAGE_ID = re.compile(rb"(?im)^message-id[ \t]*:[ \t\r\n]*(<[^<>\r\n]+>)")
_RECEIVED = re.compile(rb"(?im)^received[ \t]*:")


@dataclass(slots=True)
class Addressee:
    """A mailbox of the open transaction, and by which forward-paths it was named."""

    mailbox: int
    brand: str
    addresses: list[str] = field(default_factory=list)
    notify: str = ""
    orcpt: str = ""

    def freeze(self) -> Recipient:
        """As it goes into the log."""
        return Recipient(self.mailbox, self.brand, tuple(self.addresses), self.notify, self.orcpt)


class Addressees:
    """The recipients of the open transaction, each mailbox once, in the order given."""

    __slots__ = ("_by_mailbox", "_unverified", "named")

    def __init__(self) -> None:
        self._by_mailbox: dict[int, Addressee] = {}
        self._unverified: list[Addressee] = []
        self.named = 0  # accepted RCPT commands

    def add(self, given: RecipientGiven, targets: tuple[Target, ...]) -> None:
        """A forward-path that leads to these mailboxes."""
        self.named += 1
        for target in targets:
            addressee = self._by_mailbox.get(target.mailbox)
            if addressee is None:
                addressee = _addressee(target.mailbox, target.brand, given.parameters)
                self._by_mailbox[target.mailbox] = addressee
            address = given.forward_path.mailbox
            if address not in addressee.addresses:
                addressee.addresses.append(address)

    def add_unverified(self, given: RecipientGiven) -> None:
        """A forward-path of a domain of ours whose mailbox could not be looked up."""
        self.named += 1
        addressee = _addressee(0, "", given.parameters)
        addressee.addresses.append(given.forward_path.mailbox)
        self._unverified.append(addressee)

    def freeze(self) -> tuple[Recipient, ...]:
        """As they go into the log; a place here is the recipient's ordinal for ever."""
        known = [addressee.freeze() for addressee in self._by_mailbox.values()]
        return tuple(known + [addressee.freeze() for addressee in self._unverified])


def _addressee(mailbox: int, brand: str, parameters: RecipientParameters) -> Addressee:
    notify = ",".join(sorted(word.value for word in parameters.notify))
    original = parameters.original
    orcpt = "" if original is None else f"{original.address_type};{original.address}"
    return Addressee(mailbox, brand, [], notify, orcpt)


@dataclass(frozen=True, slots=True)
class RecipientYes:
    """Go on. `size_bytes_max`: what this recipient's plan allows one message to have."""

    size_bytes_max: int


def decide_recipient(
    given: RecipientGiven, mail: MailGiven, recipients: Recipients, into: Addressees
) -> RecipientYes | Reply:
    """May this transaction be for that forward-path? A yes is noted in `into`."""
    path = given.forward_path
    match recipients.resolve(path.local_part, path.domain):
        case Known(targets=targets):
            open_targets = tuple(t for t in targets if t.state is not MailboxState.CLOSED)
            if not open_targets:
                return MAILBOX_CLOSED
            size_bytes_max = min(target.size_bytes_max for target in open_targets)
            declared = mail.parameters.size_bytes
            if declared is not None and declared > size_bytes_max:
                return TOO_BIG_FOR_RECIPIENT
            into.add(given, open_targets)
            return RecipientYes(size_bytes_max)
        case NoSuchUser():
            return NO_SUCH_USER
        case NotOurs():
            return RELAY_DENIED
        case Unsure(reason):
            if reason in _LANE_DOUBTS:
                into.add_unverified(given)
                return RecipientYes(0)
            return CANNOT_SAY_NOW


def find_message_id(head: bytes) -> str:
    """The Message-ID in the beginning of a message, with its angle brackets; empty if none."""
    end = head.find(b"\r\n\r\n", 0, HEADER_LOOK_BYTES)
    found = _MESSAGE_ID.search(head, 0, end if end >= 0 else HEADER_LOOK_BYTES)
    if found is None:
        return ""
    return found[1][:MESSAGE_ID_CHARACTERS_MAX].decode("utf-8", "replace")


def decide_content(head: bytes, hops_max: int) -> Reply | None:
    """Why a message with this beginning may not come in; None when it may (RFC 5321 §6.3)."""
    end = head.find(b"\r\n\r\n", 0, HEADER_LOOK_BYTES)
    header = head[: end if end >= 0 else HEADER_LOOK_BYTES]
    if len(_RECEIVED.findall(header)) > hops_max:
        return TOO_MANY_HOPS
    return None
