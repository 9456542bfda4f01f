"""Every kind of fact that the log keeps, in one file.

A fact is immutable. What is true now is a fold over facts; a correction is a later fact.
Facts are stored as MessagePack arrays, so fields may be added at the end, with a default,
and never removed or reordered.
"""

from __future__ import annotations

import enum

import msgspec


class Kind(enum.IntEnum):
    """The kind of an entry, stored beside it so that readers can skip without decoding."""

    ACCEPTED = 1
    REFUSED = 2
    DELIVERED = 3
    HELD = 4
    ACTED = 5
    CELL = 6
    MAILBOX = 7
    ROUTED = 8


class Recipient(msgspec.Struct, frozen=True, array_like=True):
    """One mailbox that a message is for; its place in `Accepted.recipients` is its ordinal.

    `addresses` are the forward-paths of the transaction that led here (an alias and the
    mailbox's own address may both). `mailbox` is 0 in the unverified lane, where the
    recipient table could not say whether there is such a mailbox.
    """

    mailbox: int
    brand: str
    addresses: tuple[str, ...]
    notify: str = ""  # RFC 3461 NOTIFY, as given
    orcpt: str = ""  # RFC 3461 ORCPT, decoded


class Accepted(msgspec.Struct, frozen=True, array_like=True):
    """A message was answered `250`: from here on it is ours."""

    reverse_path: str  # without angle brackets; empty for the null reverse-path
    recipients: tuple[Recipient, ...]
    peer: str
    helo: str
    protocol: str  # the `with` of the Received field: SMTP, ESMTP, ESMTPS, LMTP … (RFC 3848)
    message_id: str
    digest: bytes  # of the content as the peer sent it: how a repetition is recognised
    size_bytes: int  # as stored, trace header included
    ret: str = ""  # RFC 3461 RET
    envid: str = ""  # RFC 3461 ENVID, decoded


class Refused(msgspec.Struct, frozen=True, array_like=True):
    """Somebody was told no. `recipient` is empty when the no was not about a recipient."""

    peer: str
    helo: str
    reverse_path: str
    recipient: str
    stage: str  # CONNECT, MAIL, RCPT, DATA, CONTENT …
    reply: str  # code, enhanced code and text, as sent
    times: int = 1  # more than one when a flood of the same refusal was summed up
    mailbox: int = 0
    recipients: int = 0  # how many accepted recipients the no at DATA or CONTENT cost
    message_id: str = ""


class Delivered(msgspec.Struct, frozen=True, array_like=True):
    """The message is in the mailbox."""

    ordinal: int
    mailbox: int
    cell: str
    folder: str
    uid: int
    uid_validity: int
    partition: int  # of the entry that accepted it
    position: int


class Held(msgspec.Struct, frozen=True, array_like=True):
    """The message waits for something other than a broken cell; it never bounces."""

    ordinal: int
    mailbox: int
    reason: str  # over-quota, unverified, mailbox-closed
    partition: int
    position: int


class Acted(msgspec.Struct, frozen=True, array_like=True):
    """What a person did in the emergency inbox, to be replayed on the mailbox."""

    action: bytes  # its own id, 10 bytes: replay is idempotent on it
    mailbox: int
    verb: str  # read, unread, flag, unflag, answered, delete, move, sent
    receipts: tuple[bytes, ...]
    folder: str = ""  # the target of a move


class Routed(msgspec.Struct, frozen=True, array_like=True):
    """A recipient of an accepted message now has another mailbox than when it was accepted.

    Written when the unverified lane finds out whose message it is, or when a mailbox moved to
    another cell while messages for it waited. Whoever serves that mailbox delivers it.
    """

    ordinal: int
    mailbox: int
    brand: str
    address: str
    partition: int  # of the entry that accepted it
    position: int
    at_us: int  # of its acceptance


class CellChanged(msgspec.Struct, frozen=True, array_like=True):
    """A cell stopped or began to work, as one process saw it."""

    cell: str
    state: str  # healthy, suspect, down
    seen_by: str
    detail: str = ""


class MailboxChanged(msgspec.Struct, frozen=True, array_like=True):
    """Something happened to one mailbox as a whole."""

    mailbox: int
    what: str  # quarantined, rebuilt, moved, exported
    detail: str = ""


Fact = Accepted | Refused | Delivered | Held | Acted | CellChanged | MailboxChanged | Routed

_TYPES: dict[Kind, type[Fact]] = {
    Kind.ACCEPTED: Accepted,
    Kind.REFUSED: Refused,
    Kind.DELIVERED: Delivered,
    Kind.HELD: Held,
    Kind.ACTED: Acted,
    Kind.CELL: CellChanged,
    Kind.MAILBOX: MailboxChanged,
    Kind.ROUTED: Routed,
}

_KINDS: dict[type[Fact], Kind] = {type_: kind for kind, type_ in _TYPES.items()}

_ENCODER = msgspec.msgpack.Encoder()
_DECODERS = {kind: msgspec.msgpack.Decoder(type_) for kind, type_ in _TYPES.items()}


def kind_of(fact: Fact) -> Kind:
    """The kind under which a fact is stored."""
    return _KINDS[type(fact)]


def encode(fact: Fact) -> bytes:
    """The fact as it is stored."""
    return _ENCODER.encode(fact)


def decode(kind: Kind, payload: bytes) -> Fact:
    """The stored fact. Raises `msgspec.DecodeError` where the bytes are not one."""
    return _DECODERS[kind].decode(payload)
