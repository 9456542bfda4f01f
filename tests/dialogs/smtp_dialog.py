"""The dialog language: what a client says, what the server must answer, what the door must be told.

A file begins with comments (`#`) and, above the line of dashes, what is special about this server:

    settings: lmtp=yes starttls_offered=no      fields of SmtpSettings
    limits: recipients_max=2                    fields of SmtpLimits
    rcpt anna@libero.example -> ok              the decision table: mail, rcpt, fate ADDRESS,
    rcpt small@libero.example -> up to 1000     login USER PASSWORD, message, tls
    rcpt * -> 550 5.1.1 No such mailbox
    message -> wait                             answered only by a `D:` line

Below it, line by line:

    C: text       the client sends the text and CRLF
    C| text       the client sends just this; \\r \\n \\0 \\t \\xNN \\\\ are octets,
                  \\{N*text} is the text N times
    S: text       the server answers with this line; * stands for anything
    E: text       the door is told this, among other things, in this order; * as above
    M: text       a line of the message that the door has got; all of them make up the message
    D: words      the door does something: see `_DOOR_MOVES` in the runner

Client lines that follow one another are sent in one piece, that is: pipelined.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from staffetta.protocols.smtp import (
    AuthGiven,
    BodyChunk,
    BodyDiscarded,
    Closed,
    Event,
    MailGiven,
    MailParameters,
    MessageReceived,
    RecipientGiven,
    RecipientParameters,
    Refused,
    Reply,
    SmtpLimits,
    SmtpSettings,
    TlsRequested,
)
from tests.smtp_door import Decisions

_REPEAT = re.compile(r"\\\{(\d+)\*(.*?)\}")
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|.)")
_OCTETS = {"r": "\r", "n": "\n", "0": "\0", "t": "\t", "\\": "\\"}


@dataclass
class Step:
    """What is sent or done, and what must come of it."""

    line: int
    octets: bytes = b""
    move: str = ""
    replies: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    message: list[str] | None = None


@dataclass
class Dialog:
    """One file."""

    settings: SmtpSettings
    decisions: Decisions
    steps: list[Step]


def read_dialog(path: Path) -> Dialog:
    header, dashes, script = path.read_text(encoding="utf-8").partition("\n----\n")
    assert dashes, f"{path.name}: no line of dashes"
    settings, decisions = _read_header(header)
    begin = header.count("\n") + 3
    return Dialog(settings, decisions, _read_steps(script, begin))


def _read_header(header: str) -> tuple[SmtpSettings, Decisions]:
    options: dict[str, bool] = {}
    limits: dict[str, int] = {}
    decisions = Decisions()
    for line in header.splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("settings:"):
            words = (word.split("=") for word in line.split()[1:])
            options |= {name: value == "yes" for name, value in words}
        elif line.startswith("limits:"):
            words = (word.split("=") for word in line.split()[1:])
            limits |= {name: int(value) for name, value in words}
        else:
            _read_decision(decisions, line)
    settings = SmtpSettings("mx.libero.example", limits=SmtpLimits(**limits), **options)
    return settings, decisions


def _read_decision(decisions: Decisions, line: str) -> None:
    subject, _, answer = line.partition(" -> ")
    match subject.split():
        case ["mail", address]:
            decisions.mail[address] = _yes_or_no(answer)
        case ["rcpt", address] if answer.startswith("up to "):
            decisions.rcpt[address] = int(answer.removeprefix("up to "))
        case ["rcpt", address]:
            decisions.rcpt[address] = _yes_or_no(answer)
        case ["fate", address]:
            decisions.fates[address] = read_reply(answer)
        case ["login", user, password]:
            decisions.logins[user, password] = _yes_or_no(answer)
        case ["message"]:
            decisions.message = None if answer == "wait" else _yes_or_no(answer)
        case ["tls"]:
            decisions.tls = _yes_or_no(answer)
        case _:
            raise AssertionError(f"not understood: {line}")


def _yes_or_no(answer: str) -> bool | Reply:
    return True if answer == "ok" else read_reply(answer)


def read_reply(text: str) -> Reply:
    code, enhanced, words = text.split(" ", 2)
    return Reply(int(code), enhanced, words)


def _read_steps(script: str, begin: int) -> list[Step]:
    steps: list[Step] = [Step(begin)]
    for number, line in enumerate(script.splitlines(), begin):
        if not line or line.startswith("#"):
            continue
        mark, text = line[:2], line[3:]
        last = steps[-1]
        if mark in ("C:", "C|", "D:") and (
            last.replies or last.events or last.message or last.move or mark == "D:"
        ):
            last = Step(number)
            steps.append(last)
        match mark:
            case "C:":
                last.octets += _unescape(text) + b"\r\n"
            case "C|":
                last.octets += _unescape(text)
            case "D:":
                last.move = text
            case "S:":
                last.replies.append(text)
            case "E:":
                last.events.append(text)
            case "M:":
                last.message = [*(last.message or []), text]
            case _:
                raise AssertionError(f"line {number} not understood: {line}")
    return steps


def _unescape(text: str) -> bytes:
    text = _REPEAT.sub(lambda repeat: repeat[2] * int(repeat[1]), text)
    octets = b""
    at = 0
    for escape in _ESCAPE.finditer(text):
        octets += text[at : escape.start()].encode()
        word = escape[1]
        octets += bytes([int(word[1:], 16)]) if word[0] == "x" else _OCTETS[word].encode()
        at = escape.end()
    return octets + text[at:].encode()


def matches(pattern: str, text: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), text) is not None


def describe(event: Event) -> str:
    """One line an operator can read."""
    match event:
        case MailGiven(reverse_path, parameters):
            return f"mail {reverse_path}{_mail_words(parameters)}"
        case RecipientGiven(forward_path, parameters):
            return f"rcpt {forward_path}{_recipient_words(parameters)}"
        case MessageReceived(envelope, _, size_bytes):
            to = " ".join(str(given.forward_path) for given in envelope.recipients)
            sender = envelope.mail.reverse_path
            user = f" as {envelope.authenticated_as}" if envelope.authenticated_as else ""
            return (
                f"message from {sender} for {to} by {envelope.protocol} "
                f"from {envelope.hello}{user}, {size_bytes} octets"
            )
        case BodyChunk(octets):
            return f"chunk of {len(octets)} octets"
        case BodyDiscarded():
            return "chunks discarded"
        case TlsRequested():
            return "tls wanted"
        case AuthGiven():
            return f"login {event.mechanism} {event.authentication_id}"
        case Refused(command, reply, reason, path=path):
            words = [command or "-", str(reply.code), reply.enhanced, reason]
            return "refused " + " ".join([*words, *([str(path)] if path else [])])
        case Closed(reason, envelope):
            cut = "" if envelope is None else f" with {envelope.mail.reverse_path} open"
            return f"closed {reason.name}{cut}"


def _mail_words(parameters: MailParameters) -> str:
    words = ""
    if parameters.size_bytes is not None:
        words += f" size={parameters.size_bytes}"
    if parameters.body is not None:
        words += f" body={parameters.body}"
    if parameters.smtputf8:
        words += " smtputf8"
    if parameters.ret is not None:
        words += f" ret={parameters.ret}"
    if parameters.envid is not None:
        words += f" envid={parameters.envid}"
    if parameters.auth is not None:
        words += f" auth={parameters.auth or '<>'}"
    return words


def _recipient_words(parameters: RecipientParameters) -> str:
    words = ""
    if parameters.notify:
        words += f" notify={','.join(sorted(parameters.notify))}"
    if parameters.original is not None:
        words += f" orcpt={parameters.original.address_type}:{parameters.original.address}"
    return words
