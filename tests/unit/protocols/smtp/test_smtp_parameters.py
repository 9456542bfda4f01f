"""ESMTP parameters of MAIL and RCPT."""

from __future__ import annotations

import pytest

from staffetta.protocols.smtp.events import (
    NO_MAIL_PARAMETERS,
    NO_RECIPIENT_PARAMETERS,
    BodyType,
    MailParameters,
    NotifyOn,
    OriginalRecipient,
    RecipientParameters,
    ReturnContent,
)
from staffetta.protocols.smtp.parameters import parse_mail_parameters, parse_recipient_parameters
from staffetta.protocols.smtp.refusal import CommandRefusal


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("", NO_MAIL_PARAMETERS),
        ("  ", NO_MAIL_PARAMETERS),
        (" SIZE=0", MailParameters(size_bytes=0)),
        (" size=99999999999999999999", MailParameters(size_bytes=99999999999999999999)),
        (" BODY=8BITMIME", MailParameters(body=BodyType.EIGHT_BIT)),
        ("  Body=7bit  SMTPUTF8 ", MailParameters(body=BodyType.SEVEN_BIT, smtputf8=True)),
        (" RET=full ENVID=a+2Bb+20c", MailParameters(ret=ReturnContent.FULL, envid="a+b c")),
        (" AUTH=<>", MailParameters(auth="")),
        (" AUTH=anna+40x.example", MailParameters(auth="anna@x.example")),
    ],
)
def test_mail(text: str, parameters: MailParameters) -> None:
    assert parse_mail_parameters(text, auth_offered=True) == parameters


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (" SIZE", 501),
        (" SIZE=", 501),
        (" SIZE=-1", 501),
        (" SIZE=1e3", 501),
        (" SIZE=²", 501),
        (" SIZE=100000000000000000000", 501),
        (" BODY=BINARYMIME", 501),
        (" BODY", 501),
        (" SMTPUTF8=", 501),
        (" RET=", 501),
        (" ENVID=", 501),
        (" ENVID=a+2", 501),
        (" ENVID=a+0A", 501),
        (" ENVID=perché", 501),
        (f" ENVID={'e' * 101}", 501),
        (" SIZE=1 SIZE=1", 501),
        (" SIZE=1 size=1", 501),
        (" =1", 555),
        (" -A=1", 555),
        (" NOTIFY=NEVER", 555),
        (" AUTH=<>", 555),
    ],
)
def test_mail_refused(text: str, code: int) -> None:
    with pytest.raises(CommandRefusal) as refusal:
        parse_mail_parameters(text, auth_offered=False)
    assert refusal.value.reply.code == code


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("", NO_RECIPIENT_PARAMETERS),
        (" NOTIFY=never", RecipientParameters(frozenset([NotifyOn.NEVER]))),
        (
            " NOTIFY=SUCCESS,FAILURE,DELAY",
            RecipientParameters(
                frozenset([NotifyOn.SUCCESS, NotifyOn.FAILURE, NotifyOn.DELAY]),
            ),
        ),
        (
            " ORCPT=rfc822;a+2Bb@x.example",
            RecipientParameters(original=OriginalRecipient("rfc822", "a+b@x.example")),
        ),
        (
            " ORCPT=utf-8;niccol\\x{F2}@x.example",
            RecipientParameters(original=OriginalRecipient("utf-8", "niccolò@x.example")),
        ),
    ],
)
def test_recipient(text: str, parameters: RecipientParameters) -> None:
    assert parse_recipient_parameters(text, smtputf8=False) == parameters


def test_an_original_recipient_beyond_ascii_needs_smtputf8() -> None:
    text = " ORCPT=utf-8;niccolò@x.example"
    parameters = parse_recipient_parameters(text, smtputf8=True)
    assert parameters.original == OriginalRecipient("utf-8", "niccolò@x.example")
    with pytest.raises(CommandRefusal):
        parse_recipient_parameters(text, smtputf8=False)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (" NOTIFY", 501),
        (" NOTIFY=", 501),
        (" NOTIFY=SOMETIMES", 501),
        (" NOTIFY=SUCCESS,SUCCESS", 501),
        (" NOTIFY=NEVER,DELAY", 501),
        (" ORCPT=rfc822", 501),
        (" ORCPT=rfc822;", 501),
        (" ORCPT=;a@b", 501),
        (" ORCPT=rfc822;a+00", 501),
        (" ORCPT=utf-8;\\x{D800}", 501),
        (" ORCPT=utf-8;\\x{FFFFFF}", 501),
        (" ORCPT=utf-8;\\x{0A}", 501),
        (f" ORCPT=rfc822;{'a' * 500}", 501),
        (" SIZE=1", 555),
    ],
)
def test_recipient_refused(text: str, code: int) -> None:
    with pytest.raises(CommandRefusal) as refusal:
        parse_recipient_parameters(text, smtputf8=True)
    assert refusal.value.reply.code == code
