"""How the octets are cut changes nothing: the same events, the same octets out."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from staffetta.protocols.smtp import Reply, SmtpLimits, SmtpServer, SmtpSettings
from tests.smtp_door import Decisions, ScriptedDoor, settled

# Ceilings low enough for generated sessions to reach.
LIMITS = SmtpLimits(
    command_line_bytes_max=80,
    command_drop_bytes_max=300,
    auth_line_bytes_max=100,
    recipients_max=2,
    overshoot_recipients_max=2,
    message_bytes_max=400,
    overrun_bytes_max=100,
    header_bytes_max=150,
    text_line_bytes_max=120,
    body_memory_bytes_max=60,
    body_chunk_bytes=20,
    errors_max=6,
    refused_recipients_max=3,
    commands_without_message_max=12,
    transactions_max=6,
)
LINES = (
    b"EHLO client.example\r\n",
    b"HELO client.example\r\n",
    b"LHLO client.example\r\n",
    b"MAIL FROM:<a@client.example>\r\n",
    b"MAIL FROM:<> SIZE=100\r\n",
    b"MAIL FROM:<a@client.example> SIZE=900\r\n",
    "MAIL FROM:<é@client.example> SMTPUTF8\r\n".encode(),
    b"RCPT TO:<a@libero.example>\r\n",
    b"RCPT TO:<no@libero.example>\r\n",
    b"RCPT TO:<small@libero.example> NOTIFY=NEVER\r\n",
    b"DATA\r\n",
    b"DATA\r\n",
    b"BDAT 10\r\n",
    b"BDAT 5 LAST\r\n",
    b"BDAT 0 LAST\r\n",
    b"BDAT what\r\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"QUIT\r\n",
    b"STARTTLS\r\n",
    b"AUTH LOGIN\r\n",
    b"AUTH PLAIN AG1hcmlvAHNlY3JldA==\r\n",
    b"bWFyaW8=\r\n",
    b"FOO\r\n",
    b"\r\n",
    b".\r\n",
    b"\r\n.\r\n",
    b"..\r\n",
    b".",
    b"\r",
    b"\n",
    b"\0",
    b"Subject: x\r\n",
    b"x" * 50,
    b"x" * 150 + b"\r\n",
    b"text\r\n",
)
USUAL = b"EHLO c\r\nMAIL FROM:<a@c>\r\nRCPT TO:<a@libero.example>\r\n"

octets = st.lists(st.sampled_from(LINES) | st.binary(max_size=8), max_size=25).map(b"".join)
sessions = st.tuples(st.sampled_from([b"", USUAL, USUAL + b"DATA\r\n", b"LHLO c\r\n"]), octets).map(
    b"".join
)


def hold(settings: SmtpSettings, reads: list[bytes]) -> tuple[list[object], bytes]:
    """A whole session: what the door was told, what was sent."""
    decisions = Decisions(
        rcpt={
            "a@libero.example": True,
            "small@libero.example": 30,
            "*": Reply(550, "5.1.1", "No such mailbox"),
        },
        logins={("mario", "secret"): True},
        tls=Reply(454, "4.7.0", "TLS not available now"),
    )
    door = ScriptedDoor(SmtpServer(settings), decisions)
    out = door.greet() + door.feed_all(reads)
    door.machine.peer_gone()
    door.go_on()
    return list(settled(door.events)), out


def cut(data: st.DataObject, session: bytes) -> list[bytes]:
    places = sorted(data.draw(st.sets(st.integers(0, len(session)), max_size=12)))
    edges = [0, *places, len(session)]
    return [session[begin:end] for begin, end in pairwise(edges)]


@given(sessions, st.data(), st.booleans(), st.booleans())
@settings(max_examples=200, deadline=None)
def test_any_cutting_gives_the_same(
    session: bytes, data: st.DataObject, lmtp: bool, nul_refused: bool
) -> None:
    options = SmtpSettings(
        "mx.libero.example",
        lmtp=lmtp,
        auth_offered=True,
        auth_in_clear=True,
        nul_refused=nul_refused,
        limits=LIMITS,
    )
    whole = hold(options, [session])
    assert hold(options, cut(data, session)) == whole
    assert hold(options, [session[at : at + 1] for at in range(len(session))]) == whole


@given(octets, st.data())
@settings(max_examples=200, deadline=None)
def test_any_cutting_of_a_text_gives_the_same_message(text: bytes, data: st.DataObject) -> None:
    session = USUAL + b"DATA\r\n" + text + b"\r\n.\r\nQUIT\r\n"
    options = SmtpSettings("mx.libero.example", hello_required=False)
    assert hold(options, cut(data, session)) == hold(options, [session])
