"""A door for tests: drives the SMTP machine with decisions written down beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from staffetta.protocols.smtp import (
    AuthGiven,
    BodyChunk,
    BodyDiscarded,
    Closed,
    Envelope,
    Event,
    MailGiven,
    MessageReceived,
    RecipientGiven,
    Refused,
    Reply,
    SmtpServer,
    TlsRequested,
)

Yes = bool
"""An answer: True, or the `Reply` that refuses."""


@dataclass
class Decisions:
    """What the door says to whom. `*` stands for everybody who is not named."""

    mail: dict[str, Reply | Yes] = field(default_factory=dict)
    rcpt: dict[str, Reply | Yes | int] = field(default_factory=lambda: {"*": True})
    """A number accepts, and is the largest message this recipient may get."""
    fates: dict[str, Reply] = field(default_factory=dict)
    message: Reply | Yes | None = True
    """None: no answer until the test gives one."""
    logins: dict[tuple[str, str], Reply | Yes] = field(default_factory=dict)
    tls: Reply | Yes = True


@dataclass(frozen=True)
class Message:
    """A message as the door has it in the end, chunks put together."""

    envelope: Envelope
    body: bytes


class ScriptedDoor:
    """One connection and its door. `feed` gives octets and returns what is to be sent."""

    def __init__(self, machine: SmtpServer, decisions: Decisions | None = None) -> None:
        self.machine = machine
        self.decisions = decisions or Decisions()
        self.events: list[Event] = []
        self.messages: list[Message] = []
        self._chunks: list[bytes] = []

    def greet(self) -> bytes:
        self.machine.greet()
        return self.go_on()

    def feed(self, octets: bytes) -> bytes:
        self.machine.receive(octets)
        return self.go_on()

    def feed_all(self, reads: Iterable[bytes]) -> bytes:
        return b"".join(self.feed(octets) for octets in reads)

    def go_on(self) -> bytes:
        while (event := self.machine.next_event()) is not None:
            self.events.append(event)
            self._decide(event)
        return self.machine.bytes_to_send()

    def _decide(self, event: Event) -> None:
        decisions = self.decisions
        match event:
            case MailGiven():
                answer = decisions.mail.get(event.reverse_path.mailbox, True)
                self._answer(answer, self.machine.accept_mail)
            case RecipientGiven():
                mailbox = event.forward_path.mailbox
                self._decide_recipient(decisions.rcpt.get(mailbox, decisions.rcpt.get("*", True)))
            case BodyChunk():
                self._chunks.append(event.octets)
            case BodyDiscarded():
                self._chunks.clear()
            case MessageReceived():
                body = b"".join(self._chunks) if event.body is None else event.body
                assert len(body) == event.size_bytes
                self._chunks.clear()
                self.messages.append(Message(event.envelope, body))
                self._decide_message(event.envelope)
            case TlsRequested():
                self._answer(decisions.tls, self.machine.start_tls)
            case AuthGiven():
                login = (event.authentication_id, event.password)
                no = Reply(535, "5.7.8", "Authentication credentials invalid")
                identity = event.authentication_id
                self._answer(
                    decisions.logins.get(login, no), lambda: self.machine.accept_auth(identity)
                )
            case Refused() | Closed():
                pass

    def _answer(self, answer: Reply | Yes, accept: Callable[[], None]) -> None:
        if isinstance(answer, Reply):
            self.machine.refuse(answer, "decision")
        else:
            accept()

    def _decide_recipient(self, answer: Reply | Yes | int) -> None:
        if isinstance(answer, Reply):
            self.machine.refuse(answer, "decision")
        elif isinstance(answer, bool):
            self.machine.accept_recipient()
        else:
            self.machine.accept_recipient(answer)

    def _decide_message(self, envelope: Envelope) -> None:
        decisions = self.decisions
        receipt = f"receipt-{len(self.messages)}"
        if decisions.fates:
            kept = Reply(250, "2.0.0", receipt)
            paths = [recipient.forward_path.mailbox for recipient in envelope.recipients]
            fates = [(decisions.fates.get(path, kept), "decision") for path in paths]
            self.machine.answer_recipients(fates)
        elif decisions.message is not None:
            self._answer(decisions.message, lambda: self.machine.accept_message(receipt))


def settled(events: Iterable[Event]) -> list[Event | bytes]:
    """The events, with what no door may depend on left out: where chunks are cut, and chunks that
    were discarded in the end."""
    result: list[Event | bytes] = []
    chunks: list[bytes] = []
    for event in events:
        match event:
            case BodyChunk():
                chunks.append(event.octets)
            case BodyDiscarded():
                chunks.clear()
            case _:
                if chunks:
                    result.append(b"".join(chunks))
                    chunks.clear()
                result.append(event)
    return result
