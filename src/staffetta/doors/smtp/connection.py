"""One SMTP or LMTP connection: the machine's events, the door's decisions, the log's answers.

    data_received → machine → events → decide (at once) or accept (later) → machine → write

Replies to everything that came in one read go out in one write. Between the end of a message and
its answer the machine is parked; the loop serves the other connections meanwhile.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from staffetta.doors.smtp.decisions import (
    HEADER_LOOK_BYTES,
    LOG_BROKEN,
    LOG_BUSY,
    LOG_FULL,
    Addressees,
    RecipientYes,
    decide_content,
    decide_recipient,
    find_message_id,
)
from staffetta.doors.smtp.spooling import Spooling
from staffetta.journey.accept import Answer, NotNow, Safe, Transaction
from staffetta.log import facts
from staffetta.log.commit import CommitResult
from staffetta.log.port import SpooledBody
from staffetta.protocols.smtp.events import (
    AuthGiven,
    BodyChunk,
    BodyDiscarded,
    Closed,
    Envelope,
    MailGiven,
    MessageReceived,
    Phase,
    RecipientGiven,
    RefusalReason,
    Refused,
    TlsRequested,
)
from staffetta.protocols.smtp.replies import Reply
from staffetta.protocols.smtp.server import SmtpServer

if TYPE_CHECKING:
    from staffetta.doors.smtp.door import SmtpDoor

_NOT_NOW: dict[CommitResult, Reply] = {
    CommitResult.FULL: LOG_FULL,
    CommitResult.BROKEN: LOG_BROKEN,
    CommitResult.BUSY: LOG_BUSY,
}


_MESSAGE_COMMANDS = frozenset({"DATA", "BDAT"})
# After these the transaction is still open: its recipients are not lost.
_TRANSACTION_GOES_ON = frozenset({RefusalReason.ORDER, RefusalReason.SYNTAX})
RECIPIENTS_NAMED_MAX = 20


class SmtpConnection(asyncio.Protocol):
    """The asyncio side of one connection."""

    __slots__ = (
        "_addressees",
        "_answered_digest",
        "_door",
        "_hello_tls",
        "_lmtp",
        "_machine",
        "_paused",
        "_pending",
        "_spooling",
        "_tls_task",
        "_transport",
        "message_began_s",
        "peer",
        "progress_s",
    )

    def __init__(self, door: SmtpDoor, *, lmtp: bool) -> None:
        self._door = door
        self._lmtp = lmtp
        self._machine: SmtpServer = SmtpServer(door.machine_settings(lmtp=lmtp))
        self._transport: asyncio.Transport | None = None
        self._addressees: Addressees | None = None
        self._answered_digest: bytes | None = None
        self._spooling: Spooling | None = None
        self._hello_tls: str | None = None
        self._tls_task: asyncio.Task[None] | None = None
        self._paused = False
        self._pending: Addressees | None = None  # of the message whose answer is awaited
        self.peer = ""
        self.progress_s = 0.0
        self.message_began_s: float | None = None

    # --- asyncio's calls -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        name = transport.get_extra_info("peername")
        self.peer = str(name[0]) if name else "local"
        self.progress_s = self._door.clock.monotonic_s()
        refusal = self._door.admit(self)
        if refusal is None:
            self._machine.greet()
        else:
            self._machine.turn_away(*refusal)
        self._go_on()

    def data_received(self, data: bytes) -> None:
        if self._answered_digest is not None:
            # The sender speaks again: it has had the answer to its message.
            self._door.acceptance.confirm(self._answered_digest)
            self._answered_digest = None
        self.progress_s = self._door.clock.monotonic_s()
        self._machine.receive(data)
        self._go_on()

    def eof_received(self) -> bool:
        return False  # half-closed senders have nothing more to say: close

    def connection_lost(self, exc: Exception | None) -> None:
        self._door.leave(self)
        self._machine.peer_gone()
        self._go_on()
        self._transport = None

    def pause_writing(self) -> None:
        if self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._paused = False
        self._heed_input()

    # --- the conversation ------------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        """Whose turn it is; the door's time limits hang on it."""
        return self._machine.phase

    def time_out(self) -> None:
        """The peer took too long."""
        self._machine.time_out()
        self._go_on()

    def shut_down(self) -> bool:
        """The server is going; False while a message awaits its answer."""
        if self._machine.phase is Phase.DECISION:
            return False
        self._machine.shut_down()
        self._go_on()
        return True

    def abort(self) -> None:
        """Cut the connection; the sender has no answer and keeps its message."""
        if self._transport is not None:
            self._transport.abort()

    def _go_on(self) -> None:
        """Handle events until there are none, then send what is to be sent."""
        machine = self._machine
        closed = False
        while (event := machine.next_event()) is not None:
            match event:
                case MailGiven():
                    self._decide_mail(event)
                case RecipientGiven():
                    self._decide_recipient(event)
                case MessageReceived():
                    self._receive_message(event)
                case BodyChunk(octets):
                    self._spool(octets)
                case BodyDiscarded():
                    self._drop_spool()
                case Refused():
                    self._record(event)
                case TlsRequested():
                    machine.start_tls()
                    self._begin_tls()
                case Closed():
                    self._abandon_transaction()
                    closed = True
                case AuthGiven():
                    raise AssertionError("AUTH is not offered at this door")
        transport = self._transport
        if transport is None:
            return
        octets = machine.bytes_to_send()
        if octets:
            transport.write(octets)
        if closed:
            transport.close()
        else:
            self._heed_input()

    def _heed_input(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing() or self._paused:
            return
        spooling = self._spooling
        if self._machine.wants_input and (spooling is None or not spooling.is_behind):
            transport.resume_reading()
        else:
            transport.pause_reading()

    def _decide_mail(self, event: MailGiven) -> None:
        self._abandon_transaction()
        refusal = self._door.log_refusal()
        if refusal is not None:
            self._machine.refuse(refusal, "log")
            return
        self._addressees = Addressees()
        self._machine.accept_mail()

    def _decide_recipient(self, event: RecipientGiven) -> None:
        door, addressees = self._door, self._addressees
        assert addressees is not None
        mail = self._machine.open_mail
        assert mail is not None
        decision = decide_recipient(event, mail, door.recipients, addressees)
        if isinstance(decision, RecipientYes):
            door.counts.offered.value += 1
            self._machine.accept_recipient(decision.size_bytes_max or None)
        else:
            self._machine.refuse(decision, "recipient")

    def _receive_message(self, event: MessageReceived) -> None:
        door, machine = self._door, self._machine
        self.message_began_s = None
        self._pending, transaction = self._addressees, self._transaction(event.envelope)
        self._addressees = None
        spooling, self._spooling = self._spooling, None
        head = spooling.head if spooling is not None else (event.body or b"")
        refusal = decide_content(head, door.hops_max) or door.log_refusal()
        if refusal is not None:
            if spooling is not None:
                spooling.discard()
            machine.refuse(refusal, "content")
            return
        message_id = find_message_id(head[:HEADER_LOOK_BYTES])
        if spooling is None:
            assert event.body is not None
            door.acceptance.accept(transaction, event.body, message_id, self._answer)
            return

        def accept_spooled(body: SpooledBody | None) -> None:
            if body is None:
                self._answer(NotNow(spooling.failure))
                return
            door.acceptance.accept_opened(
                spooling.transaction,
                spooling.opening,
                body,
                spooling.digest,
                message_id,
                self._answer,
            )

        spooling.finish(accept_spooled)

    def _transaction(self, envelope: Envelope) -> Transaction:
        assert self._addressees is not None
        parameters = envelope.mail.parameters
        return Transaction(
            self.peer,
            envelope.hello,
            envelope.protocol,
            envelope.mail.reverse_path.mailbox,
            self._addressees.freeze(),
            parameters.ret.value if parameters.ret is not None else "",
            parameters.envid or "",
            self._hello_tls,
        )

    def _answer(self, answer: Answer) -> None:
        """The log has spoken. The connection may be gone by now; the message is safe anyway."""
        counts = self._door.counts
        match answer:
            case Safe(receipt, digest, repeated):
                counts.messages.value += 1
                counts.repeated.value += repeated
                counts.accepted.value += self._conclude()
                self._machine.accept_message(receipt)
                self._answered_digest = digest
            case NotNow(result):
                self._door.note_log(result)
                if self._transport is None:  # nobody hears it: the machine would not record it
                    counts.refused.value += self._conclude()
                self._machine.refuse(_NOT_NOW[result], "log")
        if self._transport is not None:
            self._go_on()

    # --- large messages --------------------------------------------------------------------------

    def _spool(self, octets: bytes) -> None:
        if self._spooling is None:
            envelope = self._machine.open_envelope
            assert envelope is not None
            self._spooling = self._door.begin_spooling(
                self._transaction(envelope), self._heed_input
            )
        self._spooling.write(octets)

    def _drop_spool(self) -> None:
        if self._spooling is not None:
            self._spooling.discard()
            self._spooling = None

    # --- TLS -------------------------------------------------------------------------------------

    def _begin_tls(self) -> None:
        self._tls_task = asyncio.get_running_loop().create_task(self._negotiate())

    async def _negotiate(self) -> None:
        transport, door = self._transport, self._door
        if transport is None:
            return
        loop = asyncio.get_running_loop()
        try:
            secured = await loop.start_tls(
                transport,
                self,
                door.tls,
                server_side=True,
                ssl_handshake_timeout=door.handshake_timeout_s,
            )
        except (OSError, asyncio.CancelledError):
            # The client hears of it from its own TLS library; there is no way back to clear text.
            self.abort()
            return
        finally:
            self._tls_task = None
        if secured is None:
            self.abort()
            return
        self._transport = secured
        version, cipher = secured.get_extra_info("ssl_object"), secured.get_extra_info("cipher")
        name = version.version() if version is not None else "TLS"
        self._hello_tls = f"{name} {cipher[0]}" if cipher else name
        self._machine.tls_started()
        self._go_on()

    # --- for the record --------------------------------------------------------------------------

    def _record(self, event: Refused) -> None:
        """Count and record a no. Recipients are counted where they are lost, once."""
        counts, envelope = self._door.counts, event.envelope
        recipient, lost = "", 0
        if event.command == "RCPT":
            counts.offered.value += 1
            counts.refused.value += 1
            recipient = event.path.mailbox if event.path is not None else ""
        elif event.command in _MESSAGE_COMMANDS and event.reason not in _TRANSACTION_GOES_ON:
            lost = self._conclude()
            counts.refused.value += lost
            if envelope is not None:
                paths = [given.forward_path.mailbox for given in envelope.recipients]
                recipient = " ".join(paths[:RECIPIENTS_NAMED_MAX])
        sender = "" if envelope is None else envelope.mail.reverse_path.mailbox
        if event.command == "MAIL" and event.path is not None:
            sender = event.path.mailbox
        self._door.refusals.record(
            facts.Refused(
                self.peer,
                self._machine.hello,
                sender,
                recipient,
                event.command or "COMMAND",
                str(event.reply),
                recipients=lost,
            )
        )

    def _conclude(self) -> int:
        """The message is over; returns how many accepted recipients it named."""
        addressees = self._pending or self._addressees
        self._pending = self._addressees = None
        return 0 if addressees is None else addressees.named

    def _abandon_transaction(self) -> None:
        """The sender gave up before the end of its message: RSET, a new MAIL, or gone."""
        addressees, self._addressees = self._addressees, None
        if addressees is not None:
            self._door.counts.abandoned.value += addressees.named
        self._drop_spool()

    def close_tls_task(self) -> None:
        """End a handshake that is under way."""
        if self._tls_task is not None:
            self._tls_task.cancel()
