"""What one message costs the SMTP machine alone: CPU time, no network, no disk.

    python -m benchmarks.smtp_machine [--messages N] [--body-bytes N] [--rounds N] [--json]

One message is MAIL, RCPT, DATA and a text, every decision answered at once, replies taken as a
door would take them. *pipelined*: envelope and text in one read each. *stepwise*: a read per
command, and one for the text. *segmented*: as stepwise, with the text in reads of 1,448 octets, as
a network cuts it. *chunked*: BDAT instead of DATA. *connection*: as stepwise, with a connection,
EHLO and QUIT of its own. *parameters*: as stepwise, with SIZE and BODY.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterable

from staffetta.protocols.smtp import (
    MailGiven,
    MessageReceived,
    RecipientGiven,
    SmtpServer,
    SmtpSettings,
)

SETTINGS = SmtpSettings("mx.libero.example")
TARGET_US = 30.0
SEGMENT_BYTES = 1_448

HELLO = b"EHLO client.example\r\n"
MAIL = b"MAIL FROM:<anna.bianchi@client.example>\r\n"
MAIL_WITH_PARAMETERS = MAIL[:-2] + b" SIZE=4500 BODY=8BITMIME\r\n"
RCPT = b"RCPT TO:<mario.rossi@libero.example>\r\n"
DATA = b"DATA\r\n"
QUIT = b"QUIT\r\n"


def sample_text(size_bytes: int) -> bytes:
    """A message of that size, in lines of 72 octets."""
    header = (
        b"From: Anna Bianchi <anna.bianchi@client.example>\r\n"
        b"To: Mario Rossi <mario.rossi@libero.example>\r\n"
        b"Subject: a message to measure with\r\n"
        b"Message-ID: <1@client.example>\r\n\r\n"
    )
    line = b"abcdefghi " * 7 + b"\r\n"
    lines, rest = divmod(max(size_bytes - len(header), 2), len(line))
    return header + line * lines + (b"x" * (rest - 2) + b"\r\n" if rest >= 2 else b"")


def drive(machine: SmtpServer, reads: Iterable[bytes]) -> int:
    """Feed the reads, say yes to everything, and return how many messages came."""
    messages = 0
    for octets in reads:
        machine.receive(octets)
        while (event := machine.next_event()) is not None:
            if isinstance(event, RecipientGiven):
                machine.accept_recipient()
            elif isinstance(event, MailGiven):
                machine.accept_mail()
            elif isinstance(event, MessageReceived):
                messages += 1
                machine.accept_message("01JD0000000000000000000000")
        machine.bytes_to_send()
    return messages


def reused(reads: list[bytes]) -> Callable[[int], int]:
    """Many messages on one connection."""

    def run(messages: int) -> int:
        machine = SmtpServer(SETTINGS)
        machine.greet()
        drive(machine, [HELLO])
        return sum(drive(machine, reads) for _ in range(messages))

    return run


def one_each(reads: list[bytes]) -> Callable[[int], int]:
    """A connection for each message."""

    def run(messages: int) -> int:
        done = 0
        for _ in range(messages):
            machine = SmtpServer(SETTINGS)
            machine.greet()
            machine.bytes_to_send()
            done += drive(machine, [HELLO, *reads, QUIT])
        return done

    return run


def workloads(body_bytes: int) -> dict[str, Callable[[int], int]]:
    text = sample_text(body_bytes)
    ended = text + b".\r\n"
    segments = [ended[at : at + SEGMENT_BYTES] for at in range(0, len(ended), SEGMENT_BYTES)]
    chunk = b"BDAT %d LAST\r\n" % len(text) + text
    return {
        "pipelined": reused([MAIL + RCPT + DATA, ended]),
        "stepwise": reused([MAIL, RCPT, DATA, ended]),
        "segmented": reused([MAIL, RCPT, DATA, *segments]),
        "chunked": reused([MAIL + RCPT + chunk]),
        "connection": one_each([MAIL, RCPT, DATA, ended]),
        "parameters": reused([MAIL_WITH_PARAMETERS, RCPT, DATA, ended]),
    }


def measure(run: Callable[[int], int], messages: int, rounds: int) -> tuple[float, float]:
    """Median and best microseconds of CPU a message; on a busy machine the best says more."""
    run(min(messages, 1_000))
    spent_us = []
    for _ in range(rounds):
        begun_ns = time.process_time_ns()
        done = run(messages)
        spent_us.append((time.process_time_ns() - begun_ns) / 1_000 / messages)
        assert done == messages, f"{done} of {messages} messages came through"
    return statistics.median(spent_us), min(spent_us)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--messages", type=int, default=1_000, help="in each round")
    parser.add_argument("--body-bytes", type=int, default=4_096)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = {
        name: measure(run, options.messages, options.rounds)
        for name, run in workloads(options.body_bytes).items()
    }
    if options.json:
        spent = {
            name: {"median_us": round(median_us, 2), "best_us": round(best_us, 2)}
            for name, (median_us, best_us) in figures.items()
        }
        print(json.dumps({"body_bytes": options.body_bytes, "cpu_per_message": spent}))
        return
    print(f"CPU per message of {options.body_bytes} octets (target {TARGET_US:.0f} us)")
    for name, (median_us, best_us) in figures.items():
        print(f"  {name:<11} median {median_us:6.1f} us, best {best_us:6.1f} us")


if __name__ == "__main__":
    main()
