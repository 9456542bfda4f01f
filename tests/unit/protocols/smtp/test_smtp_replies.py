"""Replies on the wire (RFC 5321 §4.2, RFC 2034 §4)."""

from __future__ import annotations

import re

import pytest

from staffetta.protocols.smtp import (
    Reply,
    SmtpLimits,
    SmtpSettings,
    replies,
    shutdown_reply,
    timeout_reply,
    too_many_connections_reply,
)


def test_one_line() -> None:
    assert Reply(250, "2.1.0", "Sender ok").wire == b"250 2.1.0 Sender ok\r\n"
    assert Reply(354, "", "Go on").wire == b"354 Go on\r\n"


def test_each_line_has_the_enhanced_code() -> None:
    assert Reply(214, "2.0.0", "a\nb").wire == b"214-2.0.0 a\r\n214 2.0.0 b\r\n"


def test_no_reply_looks_like_two() -> None:
    wire = Reply(550, "5.1.1", "no\r250 perché\x00").wire
    assert wire == b"550 5.1.1 no?250 perch??\r\n"


def test_lines_fit() -> None:
    assert len(Reply(550, "5.1.1", "x" * 2_000).wire) == replies.REPLY_LINE_BYTES_MAX
    assert len(Reply(250, "", "x" * 2_000).wire) == replies.REPLY_LINE_BYTES_MAX


@pytest.mark.parametrize(("code", "enhanced"), [(250, "5.0.0"), (199, ""), (550, "5.1"), (600, "")])
def test_codes_that_cannot_be(code: int, enhanced: str) -> None:
    with pytest.raises(AssertionError):
        Reply(code, enhanced, "")


def test_all_the_machine_says_has_an_enhanced_code() -> None:
    """RFC 2034 §4: every 2xx, 4xx and 5xx but greeting and EHLO."""
    said = [reply for reply in vars(replies).values() if isinstance(reply, Reply)]
    assert len(said) > 50
    for reply in said:
        assert bool(reply.enhanced) is (reply.code != 354), reply
        assert re.fullmatch(rb"\d{3} [\x20-\x7e]+\r\n", reply.wire)


def test_yes_and_never() -> None:
    assert Reply(354, "", "").is_positive
    assert not Reply(450, "4.0.0", "").is_positive
    assert not Reply(450, "4.0.0", "").is_permanent
    assert Reply(550, "5.0.0", "").is_permanent


def test_the_last_words_say_who_says_them() -> None:
    """RFC 5321 §4.2.3: 421 is followed by the domain."""
    assert timeout_reply("mx.libero.example").wire.startswith(b"421 4.4.2 mx.libero.example ")
    assert shutdown_reply("mx.libero.example").wire.startswith(b"421 4.3.2 mx.libero.example ")
    refused = too_many_connections_reply("mx.libero.example")
    assert refused.wire.startswith(b"421 4.7.0 mx.libero.example ")


def test_a_receipt_cannot_break_the_line() -> None:
    assert replies.accepted_wire("01JD as sent") == b"250 2.0.0 01JD as sent\r\n"
    for text in ("a\r\n250 b", "è", "a\x00"):
        with pytest.raises(AssertionError):
            replies.accepted_wire(text)


def test_settings_are_announced() -> None:
    settings = SmtpSettings(
        "mx.libero.example",
        auth_offered=True,
        limits=SmtpLimits(message_bytes_max=1234, recipients_max=5_000_000),
    )
    clear, tls = settings.ehlo_clear_wire, settings.ehlo_tls_wire
    assert b"250-SIZE 1234\r\n" in clear
    assert b"250-LIMITS RCPTMAX=999999\r\n" in clear
    assert b"STARTTLS" in clear
    assert b"AUTH" not in clear
    assert b"STARTTLS" not in tls
    assert tls.endswith(b"250 AUTH PLAIN LOGIN\r\n")
