"""AUTH PLAIN (RFC 4616) and AUTH LOGIN, as exchanges of base64 lines (RFC 4954 §4)."""

from __future__ import annotations

import binascii

from staffetta.protocols.smtp import replies
from staffetta.protocols.smtp.events import AuthGiven, RefusalReason
from staffetta.protocols.smtp.refusal import CommandRefusal

_PLAIN_CHALLENGE = b"334 \r\n"
_USER_CHALLENGE = b"334 VXNlcm5hbWU6\r\n"  # Username:
_PASSWORD_CHALLENGE = b"334 UGFzc3dvcmQ6\r\n"  # Password:


class AuthExchange:
    """One AUTH command: `challenge` says what to send, `take` takes what came."""

    __slots__ = ("_user", "mechanism")

    def __init__(self, mechanism: str) -> None:
        if mechanism not in ("PLAIN", "LOGIN"):
            raise CommandRefusal(replies.UNKNOWN_MECHANISM, RefusalReason.AUTH_FAILED)
        self.mechanism = mechanism
        self._user: str | None = None

    @property
    def challenge(self) -> bytes:
        if self.mechanism == "PLAIN":
            return _PLAIN_CHALLENGE
        return _USER_CHALLENGE if self._user is None else _PASSWORD_CHALLENGE

    def take(self, response: bytes) -> AuthGiven | None:
        """The credentials, once they are complete; raises `CommandRefusal`."""
        if response == b"*":
            raise CommandRefusal(replies.AUTHENTICATION_CANCELLED, RefusalReason.AUTH_FAILED)
        try:
            # "=" is an empty response (RFC 4954 §4).
            decoded = b"" if response == b"=" else binascii.a2b_base64(response, strict_mode=True)
            text = decoded.decode()
        except (binascii.Error, UnicodeDecodeError):
            raise CommandRefusal(replies.BAD_BASE64, RefusalReason.AUTH_FAILED) from None
        if self.mechanism == "PLAIN":
            return self._plain(text)
        if self._user is None:
            self._user = text
            return None
        return AuthGiven("LOGIN", "", self._user, text)

    def _plain(self, text: str) -> AuthGiven:
        parts = text.split("\0")
        if len(parts) != 3 or not parts[1]:
            raise CommandRefusal(replies.BAD_BASE64, RefusalReason.AUTH_FAILED)
        authorization_id, authentication_id, password = parts
        return AuthGiven("PLAIN", authorization_id, authentication_id, password)
