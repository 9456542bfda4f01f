"""Throws damaged sessions at the SMTP machine: `python -m tests.fuzz.fuzz_smtp --seconds 60`.

A session is what one client sent; its first octet chooses the listener's settings. Whatever it is,
nothing may be raised, the events and replies may not depend on how the octets are cut, every reply
must be well formed, every message that comes out must have stood in the session, and no message
may have a CR or an LF alone. What breaks that is kept in the corpus, where it is tried for ever
after.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import re
import sys
import time
from itertools import pairwise
from pathlib import Path

from staffetta.protocols.smtp import Closed, Phase, Reply, SmtpLimits, SmtpServer, SmtpSettings
from tests.smtp_door import Decisions, Message, ScriptedDoor, settled

CORPUS = Path(__file__).parent / "corpus" / "smtp"
WORDS = (
    b"EHLO c\r\n",
    b"MAIL FROM:<a@c.example>\r\n",
    b"RCPT TO:<a@libero.example>\r\n",
    b"DATA\r\n",
    b"BDAT 5 LAST\r\n",
    b"BDAT 9\r\n",
    b"\r\n.\r\n",
    b"\r.\n",
    b"\n.\n",
    b".",
    b"..",
    b"\r",
    b"\n",
    b"\0",
    b"<>",
    b"RSET\r\n",
    b"STARTTLS\r\n",
    b"AUTH PLAIN ",
    b" SMTPUTF8",
    b" SIZE=",
    b"\xc3\xa8",
    b"x" * 200,
)
_REPLIES = re.compile(rb"(?:[2345]\d\d[ -][\t\x20-\x7e]{0,506}\r\n)*")
_LIMITS = SmtpLimits(
    command_line_bytes_max=160,
    auth_line_bytes_max=200,
    command_drop_bytes_max=600,
    recipients_max=3,
    overshoot_recipients_max=3,
    message_bytes_max=2_000,
    overrun_bytes_max=500,
    header_bytes_max=700,
    text_line_bytes_max=500,
    body_memory_bytes_max=300,
    body_chunk_bytes=100,
)


def check_session(octets: bytes) -> None:
    """Raises, as a rule AssertionError, if the session brings the machine down."""
    kind, session = octets[:1], octets[1:]
    bits = kind[0] if kind else 0
    settings = SmtpSettings(
        "mx.libero.example",
        lmtp=bool(bits & 1),
        auth_offered=bool(bits & 2),
        auth_in_clear=True,
        hello_required=not bits & 4,
        nul_refused=not bits & 8,
        limits=_LIMITS,
    )
    whole = _hold(settings, session, [0, len(session)])
    chance = random.Random(octets)
    places = sorted(chance.choices(range(len(session) + 1), k=min(len(session), 40)))
    assert _hold(settings, session, [0, *places, len(session)]) == whole
    _, replies, messages = whole
    assert _REPLIES.fullmatch(replies) is not None, replies
    for message in messages:
        rest = message.body.replace(b"\r\n", b"")
        assert b"\r" not in rest
        assert b"\n" not in rest
        assert len(message.body) <= _LIMITS.message_bytes_max


def _hold(
    settings: SmtpSettings, session: bytes, edges: list[int]
) -> tuple[list[object], bytes, list[Message]]:
    decisions = Decisions(
        rcpt={
            "a@libero.example": True,
            "small@libero.example": 500,
            "no@libero.example": Reply(550, "5.1.1", "No such mailbox"),
        },
        logins={("mario", "secret"): True},
    )
    door = ScriptedDoor(SmtpServer(settings), decisions)
    replies = door.greet()
    for begin, end in pairwise(edges):
        replies += door.feed(session[begin:end])
    if door.machine.phase is Phase.TLS:
        door.machine.tls_started()
    door.machine.peer_gone()
    door.go_on()
    assert isinstance(door.events[-1], Closed)
    assert sum(isinstance(event, Closed) for event in door.events) == 1
    return list(settled(door.events)), replies, door.messages


def read_corpus() -> list[bytes]:
    return [path.read_bytes() for path in sorted(CORPUS.glob("*.session"))]


def damage(session: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """A session with a few things wrong that were not wrong before."""
    octets = bytearray(session)
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(0, len(octets))
        match chance.randrange(5):
            case 0:
                octets[at:at] = chance.choice(WORDS)
            case 1:
                del octets[at : at + chance.choice([1, 2, 5, 30])]
            case 2 if octets:
                octets[chance.randrange(len(octets))] = chance.randrange(256)
            case 3:
                piece = chance.choice(others)
                begin = chance.randint(0, len(piece))
                octets[at:at] = piece[begin : begin + chance.randint(1, 120)]
            case _:
                octets[at:at] = octets[at : at + chance.randint(1, 60)]
    return bytes(octets[:8_000])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else time.time_ns()
    chance = random.Random(seed)
    corpus = read_corpus()
    until = time.monotonic() + options.seconds
    tried = 0
    while time.monotonic() < until:
        session = damage(chance.choice(corpus), corpus, chance)
        tried += 1
        try:
            check_session(session)
        except Exception:
            path = CORPUS / f"found-{hashlib.sha256(session).hexdigest()[:12]}.session"
            path.write_bytes(session)
            print(f"seed {seed}, session {tried}: kept as {path}", file=sys.stderr)
            raise
    print(f"{tried} sessions, seed {seed}: nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
