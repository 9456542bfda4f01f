"""What follows MAIL and RCPT (RFC 5321 §4.1.1.2, §4.1.1.3)."""

from __future__ import annotations

from staffetta.protocols.smtp import replies
from staffetta.protocols.smtp.events import MailGiven, RecipientGiven, RefusalReason
from staffetta.protocols.smtp.parameters import parse_mail_parameters, parse_recipient_parameters
from staffetta.protocols.smtp.paths import (
    ORDINARY_RECIPIENT,
    ORDINARY_SENDER,
    Path,
    take_forward_path,
    take_ordinary,
    take_reverse_path,
)
from staffetta.protocols.smtp.refusal import CommandRefusal
from staffetta.protocols.smtp.replies import Reply


def parse_mail(argument: bytes, *, auth_offered: bool) -> MailGiven:
    """`FROM:<reverse-path> [parameters]`; raises `CommandRefusal`."""
    try:
        text = argument.decode()
    except UnicodeDecodeError:
        raise CommandRefusal(replies.BAD_SENDER, RefusalReason.BAD_ADDRESS) from None
    taken = take_ordinary(ORDINARY_SENDER, text)
    if taken is None:
        at = _after_keyword(text, "FROM:", replies.MAIL_SYNTAX)
        taken = take_reverse_path(text, at)
        if taken is None:
            raise CommandRefusal(replies.BAD_SENDER, RefusalReason.BAD_ADDRESS)
    path, end = taken
    if end == len(text):
        given = MailGiven(path)
    else:
        _expect_space(text, end, path)
        try:
            parameters = parse_mail_parameters(text[end:], auth_offered=auth_offered)
        except CommandRefusal as refusal:
            raise CommandRefusal(refusal.reply, refusal.reason, path) from None
        given = MailGiven(path, parameters)
    if not path.raw.isascii() and not given.parameters.smtputf8:
        raise CommandRefusal(replies.SMTPUTF8_NEEDED, RefusalReason.SMTPUTF8_NEEDED, path)
    return given


def parse_rcpt(argument: bytes, *, smtputf8: bool) -> RecipientGiven:
    """`TO:<forward-path> [parameters]`; raises `CommandRefusal`."""
    try:
        text = argument.decode()
    except UnicodeDecodeError:
        raise CommandRefusal(replies.BAD_RECIPIENT, RefusalReason.BAD_ADDRESS) from None
    taken = take_ordinary(ORDINARY_RECIPIENT, text)
    if taken is None:
        at = _after_keyword(text, "TO:", replies.RCPT_SYNTAX)
        taken = take_forward_path(text, at)
        if taken is None:
            raise CommandRefusal(replies.BAD_RECIPIENT, RefusalReason.BAD_ADDRESS)
    path, end = taken
    if not path.raw.isascii() and not smtputf8:
        raise CommandRefusal(replies.SMTPUTF8_NEEDED, RefusalReason.SMTPUTF8_NEEDED, path)
    if end == len(text):
        return RecipientGiven(path)
    _expect_space(text, end, path)
    try:
        return RecipientGiven(path, parse_recipient_parameters(text[end:], smtputf8=smtputf8))
    except CommandRefusal as refusal:
        raise CommandRefusal(refusal.reply, refusal.reason, path) from None


def _after_keyword(text: str, keyword: str, syntax: Reply) -> int:
    """Where the path begins."""
    at = len(keyword)
    if text[:at].upper() != keyword:
        raise CommandRefusal(syntax, RefusalReason.SYNTAX)
    # Some clients put a space after the colon, though RFC 5321 §3.3 tells them not to.
    while text.startswith(" ", at):
        at += 1
    return at


def _expect_space(text: str, end: int, path: Path) -> None:
    if text[end] != " ":
        raise CommandRefusal(replies.BAD_PARAMETER, RefusalReason.SYNTAX, path)
