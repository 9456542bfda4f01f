"""What is read in each phase: a command line, a text, a chunk, a line of an AUTH exchange.

Each function takes what it can from the session's input, and says whether it got anywhere; if not,
more input is needed.
"""

from __future__ import annotations

from typing import Final

from staffetta.protocols.lines import LineFault
from staffetta.protocols.smtp import replies
from staffetta.protocols.smtp.commands import go_on_with_auth, obey, order_reason, stop_auth
from staffetta.protocols.smtp.content import (
    FLAW_REPLIES,
    Progress,
    TextReader,
    take_small_text,
)
from staffetta.protocols.smtp.events import (
    BodyChunk,
    CloseReason,
    MessageReceived,
    Phase,
    RefusalReason,
)
from staffetta.protocols.smtp.order import Stage
from staffetta.protocols.smtp.replies import Reply
from staffetta.protocols.smtp.session import Session

_COMMAND: Final = Phase.COMMAND


def read_command(session: Session) -> bool:
    """Take one command off the input and obey it; False when no whole line is there yet."""
    line = session.input.take_line(session.limits.command_line_bytes_max)
    if line is None:
        return False
    if isinstance(line, bytes):
        obey(session, line)
    elif line is LineFault.TOO_LONG:
        session.refuse("", replies.LINE_TOO_LONG, RefusalReason.LINE_TOO_LONG)
    else:
        _refuse_broken_line(session, line)
    return True


def read_auth_line(session: Session) -> bool:
    """Take one answer of a SASL exchange (RFC 4954 4); False when it is not whole yet."""
    line = session.input.take_line(session.limits.auth_line_bytes_max)
    if line is None:
        return False
    if isinstance(line, bytes):
        go_on_with_auth(session, line)
    elif line is LineFault.TOO_LONG:
        stop_auth(session, replies.CHALLENGE_ANSWER_TOO_LONG, RefusalReason.LINE_TOO_LONG)
    else:
        _refuse_broken_line(session, line)
    return True


def _refuse_broken_line(session: Session, fault: LineFault) -> None:
    """Hang up where nobody can say any more where commands begin."""
    if fault is LineFault.BARE_NEWLINE:
        reply, reason = replies.BARE_NEWLINE_IN_COMMAND, RefusalReason.BARE_NEWLINE
    else:
        reply, reason = replies.LINE_WITHOUT_END, RefusalReason.LINE_TOO_LONG
    session.record("", reply, reason)
    session.hang_up(reply, CloseReason.BROKEN)


def read_text(session: Session) -> bool:
    """What follows DATA."""
    reader = session.reader
    if reader is None:
        if len(session.input) <= len("\r\n"):
            return False
        limits = session.limits
        nul_refused = session.settings.nul_refused
        small_bytes_max = min(session.size_bytes_max, limits.small_text_bytes_max)
        text = take_small_text(session.input, small_bytes_max, nul_refused=nul_refused)
        if text is not None:
            _hand_over(session, text, len(text))
            return True
        reader = TextReader(limits, session.size_bytes_max, nul_refused=nul_refused)
        session.reader = reader
    progress = reader.read_dotted(session.input)
    _emit_chunk(session, reader)
    if progress is Progress.MORE:
        return False
    if progress is Progress.OVERRUN:
        session.record("DATA", replies.MESSAGE_TOO_BIG, RefusalReason.MESSAGE_TOO_BIG)
        session.forget_transaction()
        session.hang_up(replies.MESSAGE_TOO_BIG, CloseReason.TOO_MANY)
    else:
        _end_text(session, reader)
    return True


def read_chunk(session: Session) -> bool:
    """The octets of a BDAT, wanted or not (RFC 3030 §2)."""
    count = min(session.chunk_left_bytes, len(session.input))
    session.chunk_left_bytes -= count
    reader = session.reader
    if session.chunk_refusal is not None:
        session.input.at += count
    else:
        assert reader is not None
        reader.read_counted(session.input, count)
        _emit_chunk(session, reader)
    if session.chunk_left_bytes:
        return False
    session.phase = _COMMAND
    refusal = session.chunk_refusal
    if refusal is not None:
        session.refuse("BDAT", refusal, order_reason(refusal))
        return True
    assert reader is not None
    if session.chunk_is_last:
        reader.end_counted()
        _end_text(session, reader)
    elif reader.flaw is not None:
        reply, reason = FLAW_REPLIES[reader.flaw]
        session.stage = Stage.SPOILED
        session.refuse("BDAT", reply, reason)
    else:
        text = f"{session.chunk_size_bytes} octets received"
        session.out.append(Reply(250, "2.0.0", text).wire)
    return True


def refuse_message(session: Session, reply: Reply, reason: str) -> None:
    """Say no to a whole message, once per recipient in LMTP (RFC 2033 §4.2)."""
    times = len(session.recipients) if session.settings.lmtp else 1
    session.out.append(reply.wire * times)
    session.record("DATA", reply, reason)
    session.forget_transaction()
    session.count_error()


def _emit_chunk(session: Session, reader: TextReader) -> None:
    if reader.flaw is not None:
        session.discard_chunks()
    elif (chunk := reader.take_chunk()) is not None:
        session.events.append(BodyChunk(chunk))


def _end_text(session: Session, reader: TextReader) -> None:
    if reader.flaw is not None:
        session.discard_chunks()
        session.phase = _COMMAND
        refuse_message(session, *FLAW_REPLIES[reader.flaw])
    elif reader.was_chunked:
        if (chunk := reader.take_chunk(at_end=True)) is not None:
            session.events.append(BodyChunk(chunk))
        _hand_over(session, None, reader.size_bytes)
    else:
        _hand_over(session, reader.whole_text(), reader.size_bytes)


def _hand_over(session: Session, body: bytes | None, size_bytes: int) -> None:
    envelope = session.envelope()
    assert envelope is not None
    assert envelope.recipients, "the order table lets DATA and BDAT in only after RCPT"
    # The chunks are the door's now, whatever becomes of the connection.
    session.reader = None
    session.ask(MessageReceived(envelope, body, size_bytes))
