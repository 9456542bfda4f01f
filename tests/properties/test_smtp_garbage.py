"""Garbage is refused, never raised; and no peer makes the machine keep more than it said."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staffetta.protocols.smtp import Closed, Phase, SmtpLimits, SmtpServer, SmtpSettings
from tests.smtp_door import Decisions, ScriptedDoor

KIB = 1024
ENVELOPE = b"EHLO c\r\nMAIL FROM:<a@client.example>\r\nRCPT TO:<b@libero.example>\r\n"
VERBS = (b"EHLO ", b"MAIL FROM:", b"RCPT TO:", b"BDAT ", b"AUTH ", b"VRFY ", b"DATA", b"")
PARAMETERS = (b"<a@b>", b"<a@b> SIZE=", b"<a@b> ENVID=", b"<a@b> ORCPT=utf-8;", b"<@", b'<"')

garbage = st.tuples(
    st.sampled_from([b"", ENVELOPE, b"EHLO c\r\n", b"EHLO c\r\nMAIL FROM:<a@b> SMTPUTF8\r\n"]),
    st.sampled_from(VERBS),
    st.sampled_from(PARAMETERS) | st.just(b""),
    st.binary(max_size=60),
    st.sampled_from([b"\r\n", b"\n", b"", b" NOTIFY=\r\n"]),
).map(b"".join)


@given(garbage, st.booleans())
@settings(max_examples=500, deadline=None)
def test_garbage_never_raises(octets: bytes, lmtp: bool) -> None:
    options = SmtpSettings("mx.libero.example", lmtp=lmtp, auth_offered=True, auth_in_clear=True)
    door = ScriptedDoor(SmtpServer(options), Decisions())
    door.greet()
    out = door.feed(octets)
    out += door.feed(b"\r\n.\r\nNOOP\r\nQUIT\r\n")
    for line in out.split(b"\r\n")[:-1]:
        assert line[:3].isdigit()
        assert line[3:4] in (b" ", b"-")
        assert line.isascii()
        assert len(line) <= 510
    door.machine.peer_gone()
    door.go_on()
    assert isinstance(door.events[-1], Closed)
    assert door.machine.phase is Phase.CLOSED


LIMITS = SmtpLimits(message_bytes_max=10_000 * KIB, overrun_bytes_max=10_000 * KIB)
FLOODS = {
    "command without end": (b"", b"NOOP " + b"x" * 64 * KIB),
    "text of one line": (ENVELOPE + b"DATA\r\n", b"x" * 64 * KIB),
    "text of many lines": (ENVELOPE + b"DATA\r\n", b"x" * 62 + b"\r\n"),
    "text of dots": (ENVELOPE + b"DATA\r\n", b"..\r\n.x\r\n" * 8 * KIB),
    "text of octets": (ENVELOPE + b"DATA\r\n", b"x"),
    "bare newlines": (ENVELOPE + b"DATA\r\n", b"\n" * 64 * KIB),
    "empty lines": (ENVELOPE + b"DATA\r\n", b"\r\n" * 32 * KIB),
    "wanted chunk": (ENVELOPE + b"BDAT 9000000\r\n", b"x" * 1000 + b"\r\n"),
    "unwanted chunk": (b"BDAT 9000000\r\n", b"x" * 64 * KIB),
    "commands": (b"EHLO c\r\n", b"NOOP\r\n" * 1000),
    "recipients": (ENVELOPE, b"RCPT TO:<b@libero.example>\r\n" * 1000),
    "passwords": (b"EHLO c\r\nAUTH LOGIN\r\n", b"x" * 64 * KIB),
}


@pytest.mark.parametrize("name", FLOODS)
def test_memory_is_bounded(name: str) -> None:
    """What one connection keeps stays under body limit, one chunk and some, however much comes."""
    begin, flood = FLOODS[name]
    options = SmtpSettings(
        "mx.libero.example", auth_offered=True, auth_in_clear=True, limits=LIMITS
    )
    machine = SmtpServer(options)
    machine.greet()

    def feed(octets: bytes) -> None:
        machine.receive(octets)
        while (event := machine.next_event()) is not None:
            match type(event).__name__:
                case "MailGiven":
                    machine.accept_mail()
                case "RecipientGiven":
                    machine.accept_recipient()
        machine.bytes_to_send()

    feed(begin)
    reads = min(4_000_000 // len(flood), 4_000)
    tracemalloc.start()
    try:
        for _ in range(reads):
            assert machine.wants_input or machine.phase is Phase.CLOSED
            feed(flood)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1_500 * KIB


def test_input_is_held_up_to_a_limit_while_an_answer_is_awaited() -> None:
    door = ScriptedDoor(SmtpServer(SmtpSettings("mx.libero.example")), Decisions(message=None))
    door.greet()
    door.feed(ENVELOPE + b"DATA\r\n\r\n.\r\n")
    assert door.machine.phase is Phase.DECISION
    assert door.machine.wants_input
    fed_bytes = 0
    while door.machine.wants_input:
        door.feed(b"NOOP\r\n" * 1000)
        fed_bytes += 6000
    assert fed_bytes < 64 * KIB + 6000
    door.machine.accept_message("receipt")
    assert door.go_on().startswith(b"250 2.0.0 receipt\r\n250 2.0.0 Ok\r\n")
