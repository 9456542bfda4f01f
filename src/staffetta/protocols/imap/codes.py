"""Response codes: what stands between the brackets (RFC 3501 §7.1, RFC 5530 and others).

Plain codes are constants; those with arguments are functions. All give the inside only, e.g.
`UNAVAILABLE` is `b"UNAVAILABLE"`, for the `code` argument of the builders in `responses`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from staffetta.protocols.imap.quoting import format_flags
from staffetta.protocols.imap.sequence import format_numbers

# RFC 3501 §7.1
ALERT = b"ALERT"
PARSE = b"PARSE"
READ_ONLY = b"READ-ONLY"
READ_WRITE = b"READ-WRITE"
TRYCREATE = b"TRYCREATE"

# RFC 5530 §3
UNAVAILABLE = b"UNAVAILABLE"
"""A subsystem is down for now: the truth when a cell is not there."""
AUTHENTICATIONFAILED = b"AUTHENTICATIONFAILED"
"""Wrong name or password, and never anything else."""
AUTHORIZATIONFAILED = b"AUTHORIZATIONFAILED"
EXPIRED = b"EXPIRED"
PRIVACYREQUIRED = b"PRIVACYREQUIRED"
CONTACTADMIN = b"CONTACTADMIN"
NOPERM = b"NOPERM"
INUSE = b"INUSE"
EXPUNGEISSUED = b"EXPUNGEISSUED"
CORRUPTION = b"CORRUPTION"
SERVERBUG = b"SERVERBUG"
CLIENTBUG = b"CLIENTBUG"
CANNOT = b"CANNOT"
LIMIT = b"LIMIT"
OVERQUOTA = b"OVERQUOTA"
ALREADYEXISTS = b"ALREADYEXISTS"
NONEXISTENT = b"NONEXISTENT"

# Others
CLOSED = b"CLOSED"
"""RFC 7162 §3.2.11: what follows is about the newly selected mailbox."""
NOMODSEQ = b"NOMODSEQ"
UIDNOTSTICKY = b"UIDNOTSTICKY"
TOOBIG = b"TOOBIG"
"""RFC 4469 §3, RFC 7889: larger than may be appended."""
USEATTR = b"USEATTR"
"""RFC 6154 §6: that special use cannot be given."""
HASCHILDREN = b"HASCHILDREN"


def capability(capabilities: Iterable[bytes]) -> bytes:
    """CAPABILITY, IMAP4rev1 among them."""
    return b"CAPABILITY " + b" ".join(capabilities)


def permanent_flags(flags: Iterable[str]) -> bytes:
    """PERMANENTFLAGS; `\\\\*` among the flags says that keywords can be made up."""
    return b"PERMANENTFLAGS " + format_flags(flags)


def uid_next(uid: int) -> bytes:
    """UIDNEXT."""
    return b"UIDNEXT %d" % uid


def uid_validity(value: int) -> bytes:
    """UIDVALIDITY."""
    return b"UIDVALIDITY %d" % value


def unseen(number: int) -> bytes:
    """UNSEEN: the number of the first unseen message."""
    return b"UNSEEN %d" % number


def highest_modseq(modseq: int) -> bytes:
    """HIGHESTMODSEQ (RFC 7162 §3.1.2.1)."""
    return b"HIGHESTMODSEQ %d" % modseq


def modified(numbers: Sequence[int]) -> bytes:
    """MODIFIED (RFC 7162 §3.1.3): ascending numbers, or UIDs, that UNCHANGEDSINCE left alone."""
    return b"MODIFIED " + format_numbers(numbers)


def append_uid(validity: int, uid: int) -> bytes:
    """APPENDUID (RFC 4315 §3)."""
    return b"APPENDUID %d %d" % (validity, uid)


def copy_uid(validity: int, source: Sequence[int], destination: Sequence[int]) -> bytes:
    """COPYUID (RFC 4315 §3): ascending UIDs, the nth of one copied to the nth of the other."""
    assert len(source) == len(destination) > 0
    return b"COPYUID %d %b %b" % (validity, format_numbers(source), format_numbers(destination))


def bad_charset(known: Iterable[bytes]) -> bytes:
    """BADCHARSET with the charsets that would do."""
    return b"BADCHARSET (%b)" % b" ".join(known)


def mailbox_id(value: bytes) -> bytes:
    """MAILBOXID (RFC 8474 §4.1)."""
    return b"MAILBOXID (%b)" % value
