"""The id by which a message is known for ever (RFC 8474 section 5.1).

A delivered message is `M` and the text of its receipt, so that who reads a receipt can find the
message; one that a person put in is `A` and a chance id in the same letters.
"""

from __future__ import annotations

import base64

from staffetta.runtime.entropy import Entropy

KEY_BYTES = 10
CHANCE_BYTES = 8
TEXT_CHARACTERS = 16
APPENDED_ORDINAL = -1
"""Stands for the place among the recipients where a message was not received but put in."""

# The alphabet of receipts (Crockford's) in the order of RFC 4648's.
_TO_CROCKFORD = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"
)
_TO_RFC4648 = bytes.maketrans(
    b"0123456789ABCDEFGHJKMNPQRSTVWXYZ", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
)
_DIGITS = frozenset(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ")


def make_key(entropy: Entropy) -> bytes:
    """A chance id. It begins with zeros, so that it sorts below all receipts."""
    return bytes(KEY_BYTES - CHANCE_BYTES) + entropy.token(CHANCE_BYTES)


def format_email_id(key: bytes, ordinal: int) -> str:
    """The EMAILID of the message with that receipt or chance id."""
    letter = "A" if ordinal == APPENDED_ORDINAL else "M"
    return letter + base64.b32encode(key).rstrip(b"=").translate(_TO_CROCKFORD).decode()


def parse_email_id(text: str) -> tuple[bytes, bool] | None:
    """(receipt or chance id, whether it was put in by a person); None where it is no EMAILID."""
    digits = text[1:].encode("ascii", "replace")
    if (
        text[:1] not in ("A", "M")
        or len(digits) != TEXT_CHARACTERS
        or not _DIGITS.issuperset(digits)
    ):
        return None
    return base64.b32decode(digits.translate(_TO_RFC4648)), text[0] == "A"
