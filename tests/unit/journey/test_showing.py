"""Any bytes give something to read, and nothing in them is run."""

from __future__ import annotations

from email.message import EmailMessage
from email.policy import SMTP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staffetta.journey import showing
from staffetta.journey.showing import show


def make_message() -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = "Jörg <j@example.org>"
    message["Subject"] = "Grüße"
    message["X-Other"] = "not shown"
    message.set_content("Guten Tag, schöne Grüße\r\n")
    return message


def test_headers_and_text_are_decoded() -> None:
    shown = show(make_message().as_bytes())
    assert shown.headers == {"From": "Jörg <j@example.org>", "Subject": "Grüße"}
    assert "schöne Grüße" in shown.text
    assert (shown.html_only, shown.truncated, shown.attachments) == (False, False, [])


def test_of_two_forms_the_plain_one_is_shown() -> None:
    message = make_message()
    message.add_alternative("<p>the <b>other</b> form</p>", subtype="html")
    shown = show(message.as_bytes())
    assert "Guten Tag" in shown.text
    assert "other" not in shown.text
    assert not shown.html_only


def test_html_alone_becomes_text_and_says_so() -> None:
    content = (
        b"Content-Type: text/html; charset=utf-8\r\n\r\n"
        b"<p>Hello <b>you</b></p><script>alert(1)</script><img src='http://x.example/p.gif'>\r\n"
    )
    shown = show(content)
    assert shown.html_only
    assert "Hello you" in shown.text
    assert not any(word in shown.text for word in ("<", "alert", "x.example"))


def test_attachments_are_named_but_not_shown() -> None:
    message = make_message()
    message.add_attachment(b"\x00" * 90, maintype="image", subtype="png", filename="bild.png")
    message.add_attachment("attached text", filename="a\u202eb.txt")
    shown = show(message.as_bytes())
    assert [(one.name, one.media_type) for one in shown.attachments] == [
        ("bild.png", "image/png"),
        ("ab.txt", "text/plain"),
    ]
    assert shown.attachments[0].size_bytes >= 90
    assert "attached text" not in shown.text


def test_a_message_within_a_message_is_one_attachment() -> None:
    message = make_message()
    inner = make_message()
    inner.replace_header("Subject", "inner")
    message.add_attachment(inner)
    shown = show(message.as_bytes())
    assert shown.headers["Subject"] == "Grüße"
    assert shown.text.count("Guten Tag") == 1
    assert [one.media_type for one in shown.attachments] == ["message/rfc822"]


def test_a_text_without_end_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(showing, "TEXT_CHARACTERS_MAX", 10)
    shown = show(b"Subject: x\r\n\r\n" + b"a" * 50)
    assert (shown.text, shown.truncated) == ("a" * 10, True)


@given(st.binary(max_size=2_000))
def test_any_bytes_at_all_give_something(content: bytes) -> None:
    shown = show(content)
    assert isinstance(shown.text, str)
    assert all(one.name.isprintable() for one in shown.attachments)


@given(st.binary(max_size=500), st.sampled_from([b"base64", b"quoted-printable", b"8bit", b"x"]))
def test_any_body_in_any_coding_gives_something(body: bytes, coding: bytes) -> None:
    header = b"Content-Type: text/html; charset=nonsense\r\nContent-Transfer-Encoding: "
    assert isinstance(show(header + coding + b"\r\n\r\n" + body).text, str)
