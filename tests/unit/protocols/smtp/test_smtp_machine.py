"""What the door sees of the machine beyond replies: events, phases, and what it keeps."""

from __future__ import annotations

import pytest

from staffetta.protocols.smtp import (
    AuthGiven,
    BodyChunk,
    BodyDiscarded,
    Closed,
    CloseReason,
    Envelope,
    MailGiven,
    MessageReceived,
    Path,
    Phase,
    RecipientGiven,
    Refused,
    Reply,
    SmtpLimits,
    SmtpServer,
    SmtpSettings,
    TlsRequested,
)
from tests.smtp_door import Decisions, ScriptedDoor

SETTINGS = SmtpSettings("mx.libero.example")
HELLO = b"EHLO client.example\r\n"
ENVELOPE = b"MAIL FROM:<anna@client.example>\r\nRCPT TO:<mario@libero.example>\r\n"
ANNA = MailGiven(Path("anna@client.example", "anna", "client.example"))
MARIO = RecipientGiven(Path("mario@libero.example", "mario", "libero.example"))
NO = Reply(550, "5.7.1", "No")


def greeted(settings: SmtpSettings = SETTINGS, decisions: Decisions | None = None) -> ScriptedDoor:
    door = ScriptedDoor(SmtpServer(settings), decisions)
    door.greet()
    return door


def test_a_message_has_its_envelope() -> None:
    door = greeted()
    door.feed(HELLO + ENVELOPE + b"DATA\r\ntext\r\n.\r\n")
    envelope = Envelope("client.example", "ESMTP", ANNA, (MARIO,))
    assert door.events == [ANNA, MARIO, MessageReceived(envelope, b"text\r\n", 6)]


def test_all_replies_to_one_read_go_out_together() -> None:
    door = greeted()
    out = door.feed(HELLO + ENVELOPE + b"DATA\r\ntext\r\n.\r\nQUIT\r\n")
    assert out.count(b"\r\n") == 15
    assert door.machine.bytes_to_send() == b""


def test_phases() -> None:
    door = ScriptedDoor(SmtpServer(SETTINGS), Decisions(message=None))
    machine = door.machine
    assert machine.phase is Phase.GREETING
    door.greet()
    assert machine.phase is Phase.COMMAND
    door.feed(HELLO + ENVELOPE + b"BDAT 5\r\nab")
    assert machine.phase is Phase.CHUNK
    door.feed(b"cde")
    assert machine.phase is Phase.COMMAND
    door.feed(b"RSET\r\n" + ENVELOPE + b"DATA\r\n")
    assert machine.phase is Phase.DATA
    door.feed(b".\r\n")
    assert machine.phase is Phase.DECISION
    machine.accept_message("receipt")
    assert machine.phase is Phase.COMMAND
    door.feed(b"STARTTLS\r\n")
    assert machine.phase is Phase.TLS
    assert not machine.wants_input
    machine.tls_started()
    assert machine.phase is Phase.COMMAND
    assert machine.tls
    assert machine.hello == ""
    door.feed(b"QUIT\r\n")
    assert machine.phase is Phase.CLOSED
    assert not machine.wants_input


def test_an_early_talker_can_be_seen_and_turned_away() -> None:
    machine = SmtpServer(SETTINGS)
    assert not machine.spoke_early
    machine.receive(HELLO)
    assert machine.spoke_early
    machine.turn_away(Reply(554, "5.5.1", "Wait for the greeting"), "early-talker")
    assert machine.bytes_to_send() == b"554 5.5.1 Wait for the greeting\r\n"
    refused, closed = machine.next_event(), machine.next_event()
    assert isinstance(refused, Refused)
    assert refused.reason == "early-talker"
    assert closed == Closed(CloseReason.TURNED_AWAY)
    assert machine.next_event() is None


def test_every_refusal_is_told_with_what_it_was_about() -> None:
    door = greeted(decisions=Decisions(rcpt={"mario@libero.example": True, "*": NO}))
    door.feed(HELLO + ENVELOPE + b"RCPT TO:<x@y> FOO=1\r\nRCPT TO:<luigi@libero.example>\r\n")
    refusals = [event for event in door.events if isinstance(event, Refused)]
    assert [(refusal.command, refusal.reply.code, refusal.reason) for refusal in refusals] == [
        ("RCPT", 555, "bad-parameter"),
        ("RCPT", 550, "decision"),
    ]
    by_machine, by_door = refusals
    assert by_machine.line == b"RCPT TO:<x@y> FOO=1"
    assert by_machine.path == Path("x@y", "x", "y")
    assert by_door.path == Path("luigi@libero.example", "luigi", "libero.example")
    for refusal in refusals:
        assert refusal.envelope == Envelope("client.example", "ESMTP", ANNA, (MARIO,))


def test_a_refused_line_is_kept_short() -> None:
    door = greeted()
    door.feed(b"FOO " + b"x" * 2_000 + b"\r\n")
    (refused,) = door.events
    assert isinstance(refused, Refused)
    assert len(refused.line) == 512


def test_credentials_are_not_recorded() -> None:
    settings = SmtpSettings("mx.libero.example", auth_offered=True, auth_in_clear=True)
    door = greeted(settings)
    door.feed(HELLO + b"AUTH PLAIN AG1hcmlvAHNlY3JldA==\r\nAUTH LOGIN !!!!\r\n")
    given, *refusals = door.events
    assert isinstance(given, AuthGiven)
    assert given.password == "secret"
    assert "secret" not in repr(given)
    assert len(refusals) == 2
    for refused in refusals:
        assert isinstance(refused, Refused)
        assert refused.line == b""


def test_a_large_text_leaves_memory_while_it_comes() -> None:
    limits = SmtpLimits(body_memory_bytes_max=1_000, body_chunk_bytes=500)
    door = greeted(SmtpSettings("mx.libero.example", limits=limits))
    door.feed(HELLO + ENVELOPE + b"DATA\r\n")
    told: list[type] = []
    for _ in range(10):
        before = len(door.events)
        door.feed(b"x" * 298 + b"\r\n")
        told += [type(event) for event in door.events[before:]]
    assert told.count(BodyChunk) >= 3
    door.feed(b".\r\n")
    received = door.events[-1]
    assert isinstance(received, MessageReceived)
    assert received.body is None
    assert received.size_bytes == 3_000
    assert door.messages[0].body == (b"x" * 298 + b"\r\n") * 10


@pytest.mark.parametrize("end", ["peer_gone", "time_out", "shut_down"])
def test_chunks_of_a_text_cut_off_are_discarded(end: str) -> None:
    limits = SmtpLimits(body_memory_bytes_max=100, body_chunk_bytes=50)
    door = greeted(SmtpSettings("mx.libero.example", limits=limits))
    door.feed(HELLO + ENVELOPE + b"DATA\r\n" + b"x" * 200 + b"\r\n")
    getattr(door.machine, end)()
    door.go_on()
    assert [type(event) for event in door.events[-3:]] == [BodyChunk, BodyDiscarded, Closed]


def test_chunks_of_a_whole_text_are_the_doors() -> None:
    """The peer goes while the message is being made safe: that message goes its way."""
    limits = SmtpLimits(body_memory_bytes_max=100, body_chunk_bytes=50)
    settings = SmtpSettings("mx.libero.example", limits=limits)
    door = greeted(settings, Decisions(message=None))
    door.feed(HELLO + ENVELOPE + b"DATA\r\n" + b"x" * 200 + b"\r\n.\r\n")
    door.machine.peer_gone()
    door.go_on()
    assert door.events[-1] == Closed(CloseReason.PEER)
    assert not any(isinstance(event, BodyDiscarded) for event in door.events)


def test_answers_after_the_end_are_ignored() -> None:
    machine = SmtpServer(SETTINGS)
    machine.greet()
    machine.peer_gone()
    assert machine.next_event() == Closed(CloseReason.PEER)
    machine.accept_mail()
    assert machine.accept_recipient() is False
    machine.accept_message("receipt")
    machine.answer_recipients([])
    machine.refuse(NO, "decision")
    machine.start_tls()
    machine.tls_started()
    machine.accept_auth("mario")
    machine.time_out()
    machine.peer_gone()
    machine.greet()
    machine.receive(HELLO)
    assert machine.next_event() is None
    assert machine.bytes_to_send() == b""


def test_a_wrong_answer_is_a_bug() -> None:
    machine = SmtpServer(SETTINGS)
    machine.greet()
    machine.receive(HELLO + ENVELOPE)
    assert isinstance(machine.next_event(), MailGiven)
    with pytest.raises(AssertionError):
        machine.accept_message("receipt")
    with pytest.raises(AssertionError):
        machine.refuse(Reply(250, "2.0.0", "yes"), "decision")
    assert machine.next_event() is None
    machine.accept_mail()
    assert isinstance(machine.next_event(), RecipientGiven)
    with pytest.raises(AssertionError):
        machine.start_tls()


def test_a_waiting_connection_keeps_nothing() -> None:
    door = greeted()
    door.feed(HELLO + ENVELOPE + b"DATA\r\n" + b"x" * 100_000 + b"\r\n.\r\n")
    assert door.machine._session.input.held == b""
    assert door.machine._session.reader is None
    assert door.machine.open_mail is None


def test_recipients_lower_the_limit_of_one_message_only() -> None:
    door = greeted(decisions=Decisions(rcpt={"*": 10}))
    door.feed(HELLO + ENVELOPE + b"DATA\r\n")
    assert door.feed(b"more than ten\r\n.\r\n").startswith(b"552 5.3.4")
    door.decisions = Decisions()
    door.feed(ENVELOPE + b"DATA\r\n")
    assert door.feed(b"more than ten\r\n.\r\n").startswith(b"250 2.0.0")


@pytest.mark.parametrize(
    ("settings", "session", "protocol"),
    [
        (SETTINGS, b"HELO c\r\n" + ENVELOPE, "SMTP"),
        (SETTINGS, HELLO + ENVELOPE, "ESMTP"),
        (SmtpSettings("mx", lmtp=True), b"LHLO c\r\n" + ENVELOPE, "LMTP"),
        (SETTINGS, HELLO + ENVELOPE.replace(b"e>\r\nR", b"e> SMTPUTF8\r\nR"), "UTF8SMTP"),
        (
            SmtpSettings("mx", auth_offered=True, auth_in_clear=True),
            HELLO + b"AUTH PLAIN AG1hcmlvAHNlY3JldA==\r\n" + ENVELOPE,
            "ESMTPA",
        ),
    ],
)
def test_the_word_for_the_received_field(
    settings: SmtpSettings, session: bytes, protocol: str
) -> None:
    """RFC 3848, RFC 6531 §4.3."""
    door = greeted(settings, Decisions(logins={("mario", "secret"): True}))
    door.feed(session)
    envelope = door.machine.open_envelope
    assert envelope is not None
    assert envelope.protocol == protocol


def test_tls_from_the_first_octet() -> None:
    """RFC 8314 §3.3: no STARTTLS, and TLS in the trace."""
    door = ScriptedDoor(SmtpServer(SETTINGS, tls=True))
    door.greet()
    assert b"STARTTLS" not in door.feed(HELLO)
    assert door.feed(b"STARTTLS\r\n").startswith(b"503")
    door.feed(ENVELOPE)
    envelope = door.machine.open_envelope
    assert envelope is not None
    assert envelope.protocol == "ESMTPS"


def test_nothing_said_in_clear_survives_tls() -> None:
    """RFC 3207 §4.2: not the transaction, not who was authenticated, not what was slipped in."""
    settings = SmtpSettings("mx", auth_offered=True, auth_in_clear=True)
    door = greeted(settings, Decisions(logins={("mario", "secret"): True}))
    door.feed(HELLO + b"AUTH PLAIN AG1hcmlvAHNlY3JldA==\r\n" + ENVELOPE)
    assert door.feed(b"STARTTLS\r\nNOOP\r\n").count(b"\r\n") == 1
    assert isinstance(door.events[-1], TlsRequested)
    assert door.feed(b"NOOP\r\n") == b""
    door.machine.tls_started()
    assert door.go_on() == b""
    assert door.machine.open_mail is None
    door.feed(HELLO + ENVELOPE)
    envelope = door.machine.open_envelope
    assert envelope is not None
    assert envelope.authenticated_as is None


def test_many_messages_in_one_read() -> None:
    door = greeted()
    one = ENVELOPE + b"DATA\r\ntext\r\n.\r\n"
    out = door.feed(HELLO + one * 500)
    assert len(door.messages) == 500
    assert out.count(b"250 2.0.0 receipt-") == 500
