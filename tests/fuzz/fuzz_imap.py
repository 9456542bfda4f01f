"""Throws damaged sessions at the IMAP grammar: `python -m tests.fuzz.fuzz_imap --seconds 60`.

A session is what one client sent. Whatever it is, the receiver must say the same however it is
cut, each frame must parse to a command or a refusal of one line, and nothing may be raised. What
breaks that is kept in the corpus, where it is tried for ever after.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from staffetta.protocols.imap import responses
from staffetta.protocols.imap.commands import BadCommand
from staffetta.protocols.imap.frames import (
    CommandFrame,
    Event,
    FrameError,
    FrameLimits,
    ImapReceiver,
)
from staffetta.protocols.imap.parser import parse_command
from staffetta.protocols.imap.states import SessionState, explain_refusal, is_allowed

CORPUS = Path(__file__).parent / "corpus" / "imap"
LIMITS = FrameLimits(
    line_bytes_max=8192,
    literal_bytes_max=2048,
    append_bytes_max=16384,
    command_bytes_max=12288,
    literals_max=64,
    skip_bytes_max=65536,
)


def check_session(octets: bytes) -> None:
    """Raises, as a rule AssertionError, if the session brings the grammar down."""
    events = list(_events(octets, [len(octets)]))
    chance = random.Random(octets)
    cuts = [chance.choice([1, 2, 7, 100]) for _ in range(len(octets))]
    assert list(_events(octets, cuts)) == events, "events depend on how the octets are cut"
    for event in events:
        if isinstance(event, FrameError):
            _check_line(responses.refusal(event))
        if isinstance(event, CommandFrame):
            command = parse_command(event)
            if isinstance(command, BadCommand):
                _check_line(responses.refusal(command))
            else:
                for state in SessionState:
                    if not is_allowed(command, state):
                        _check_line(responses.bad(command.tag, explain_refusal(command, state)))


def read_corpus() -> list[bytes]:
    """The sessions that are kept, in a steady order."""
    return [path.read_bytes() for path in sorted(CORPUS.glob("*.session"))]


def damage(sessions: list[bytes], chance: random.Random) -> bytes:
    """A session made of kept ones, with a few things wrong in it."""
    octets = bytearray(chance.choice(sessions))
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(octets) + 1)
        match chance.randrange(6):
            case 0:
                octets[at : at + chance.randint(1, 9)] = b""
            case 1:
                octets[at:at] = chance.randbytes(chance.randint(1, 4))
            case 2:
                octets[at:at] = chance.choice(SNIPPETS)
            case 3:
                other = chance.choice(sessions)
                start = chance.randrange(len(other) + 1)
                octets[at:at] = other[start : start + chance.randint(1, 60)]
            case 4:
                octets[at : at + 1] = octets[at : at + 1] * chance.choice([2, 100, 5000])
            case _:
                octets[at : at + 1] = bytes([chance.randrange(256)])
    return bytes(octets)


SNIPPETS = [
    b"\r\n",
    b"{5+}\r\n",
    b"{5}\r\n",
    b"~{1}\r\n",
    b"{4294967296+}\r\n",
    b"(" * 200,
    b"NOT " * 200,
    b"OR " * 200,
    b'"',
    b"\\",
    b"\0",
    b"&-",
    b"&",
    b"*:*",
    b"1:4294967295",
    b"IDLE\r\n",
]


def _events(octets: bytes, cuts: list[int]) -> Iterator[Event]:
    receiver = ImapReceiver(LIMITS)
    at = 0
    for size in cuts:
        receiver.receive(octets[at : at + size])
        at += size
        while (event := receiver.next_event()) is not None:
            yield event
            if isinstance(event, CommandFrame) and event.line.upper().endswith(b" IDLE"):
                receiver.expect_line()


def _check_line(line: bytes) -> None:
    assert line.endswith(b"\r\n"), line
    assert line.count(b"\n") == line.count(b"\r") == 1, line


def main() -> None:
    """Run for a while; exit status 1 and a new file in the corpus if something broke."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=30.0)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    chance = random.Random(chosen.seed)
    sessions = read_corpus()
    until_s = time.monotonic() + chosen.seconds
    tried = 0
    while time.monotonic() < until_s:
        octets = damage(sessions, chance)
        tried += 1
        try:
            check_session(octets)
        except Exception as error:
            name = hashlib.sha256(octets).hexdigest()[:12]
            kept = CORPUS / f"found-{name}.session"
            kept.write_bytes(octets)
            print(f"{kept}: {error!r}")
            sys.exit(1)
    print(f"{tried} sessions, none broke the grammar (seed {chosen.seed})")


if __name__ == "__main__":
    main()
