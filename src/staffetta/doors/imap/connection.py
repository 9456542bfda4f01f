"""One connection: bytes in, bytes out, one command at a time.

An idle connection holds no task and no timer: commands run in a task of their own, and the
hall's sweep keeps the time. What a client sends ahead waits in the receiver, within bounds.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from typing import cast

from staffetta.doors.imap import dispatch, idling
from staffetta.doors.imap.accounts import Account
from staffetta.doors.imap.hall import Hall
from staffetta.doors.imap.session import Session
from staffetta.protocols.imap import responses
from staffetta.protocols.imap.codes import SERVERBUG, UNAVAILABLE
from staffetta.protocols.imap.commands import BadCommand, Command, Idle
from staffetta.protocols.imap.frames import (
    CommandFrame,
    ContinuationLine,
    Event,
    FrameError,
    ImapReceiver,
    LiteralWanted,
    limits_after_login,
)
from staffetta.protocols.imap.parser import is_done, parse_command
from staffetta.protocols.imap.states import explain_refusal, is_allowed


class ImapConnection(asyncio.Protocol):
    """The transport's side of a session."""

    __slots__ = (
        "_address",
        "_asked",
        "_bad_commands",
        "_dismissed",
        "_drained",
        "_ended",
        "_hall",
        "_heard_s",
        "_idle_tag",
        "_is_held",
        "_looked_s",
        "_loop",
        "_receiver",
        "_session",
        "_stalled_s",
        "_task",
        "_told_s",
        "_transport",
        "_woken",
    )

    _session: Session
    _transport: asyncio.Transport

    def __init__(self, hall: Hall) -> None:
        self._hall = hall
        self._loop = asyncio.get_running_loop()
        self._receiver = ImapReceiver()
        self._address = ""
        self._task: asyncio.Task[None] | None = None
        self._asked: asyncio.Future[bytes] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._idle_tag = b""
        self._bad_commands = 0
        self._woken = self._ended = self._dismissed = self._is_held = False
        self._heard_s = self._looked_s = self._told_s = 0.0
        self._stalled_s: float | None = None  # since when the client takes nothing

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._set_buffer_limits()
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if isinstance(peer, tuple) else ""
        is_secure = transport.get_extra_info("ssl_object") is not None
        self._session = Session(self._hall, self, self._address, is_secure)
        self._heard_s = self._hall.clock.monotonic_s()
        problem = self._hall.admit(self, self._address)
        if problem:
            self.send(responses.bye(problem, UNAVAILABLE))
            self.end()
            return
        self.send(dispatch.greet(self._session))

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        self._heard_s = self._hall.clock.monotonic_s()
        self._receiver.receive(data)
        if self._task is None or self._asked is not None:
            self._proceed()
        elif self._receiver.buffered_bytes > self._hall.settings.input_waiting_bytes_max:
            self._is_held = True
            self._transport.pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self._ended = True
        self._hall.see_off(self, self._address)
        account = self._session.account
        if account is not None:
            self._hall.unseat(self, account.ref.mailbox)
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        if self._asked is not None and not self._asked.done():
            self._asked.set_exception(ConnectionResetError("the client has gone"))
        self._drained = self._asked = None

    def pause_writing(self) -> None:
        self._stalled_s = self._hall.clock.monotonic_s()
        if self._drained is None:
            self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        if not self._ended:
            self._stalled_s = None
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None

    # What commands call (`session.Output`).

    def send(self, octets: bytes) -> None:
        if not self._ended:
            self._told_s = self._hall.clock.monotonic_s()
            self._transport.write(octets)

    async def drain(self) -> None:
        if self._drained is not None:
            await self._drained
        if self._ended:
            raise ConnectionResetError("the client has gone")

    async def ask(self, octets: bytes) -> bytes:
        self._receiver.expect_line()
        self._asked = self._loop.create_future()
        self.send(octets)
        self._loop.call_soon(self._proceed)  # the answer may have come with the question
        return await self._asked

    async def start_tls(self, octets: bytes) -> None:
        context = self._hall.tls
        assert context is not None
        if self._receiver.discard():
            # Commands sent in clear behind STARTTLS may be somebody else's (CVE-2011-0411).
            self.send(responses.bye("Nothing may follow STARTTLS before the handshake"))
            self.end()
            return
        self.send(octets)
        try:
            transport = await self._loop.start_tls(
                self._transport, self, context, server_side=True,
                ssl_handshake_timeout=self._hall.settings.tls_handshake_s,
            )  # fmt: skip
        except (OSError, ssl.SSLError):
            transport = None
        if transport is None:
            self._transport.abort()
            return
        self._transport = transport
        self._set_buffer_limits()
        self._session.is_secure = True

    def welcome(self, account: Account) -> bool:
        if self._ended or not self._hall.seat(self, account.ref.mailbox):
            return False
        self._receiver.change_limits(limits_after_login(account.append_bytes_max))
        self._looked_s = self._heard_s
        return True

    def end(self) -> None:
        if not self._ended:
            self._ended = True
            self._stalled_s = self._hall.clock.monotonic_s()  # the sweep waits for `write_s`
            self._transport.close()

    # What the hall calls (`hall.Guest`).

    def wake(self) -> None:
        if self._idle_tag:
            self._woken = True
            if self._task is None:
                self._look()

    def sweep(self, now_s: float) -> None:
        settings = self._hall.settings
        if self._stalled_s is not None and now_s - self._stalled_s > settings.write_s:
            self._transport.abort()
        elif self._task is not None and self._asked is None:
            return
        elif self._session.account is None:
            if now_s - self._heard_s > settings.signed_out_s:
                self._bid_farewell("Too long without signing in")
        elif now_s - self._heard_s > settings.signed_in_s:
            self._bid_farewell("Autologout; idle for too long")
        elif self._idle_tag:
            if now_s - self._looked_s > settings.idle_look_s:
                self._hall.wake_soon((self,))
            if now_s - self._told_s > settings.heartbeat_s:
                self.send(responses.untagged_ok("Still here"))

    def dismiss(self) -> None:
        self._dismissed = True
        if self._task is None or self._asked is not None:
            self._bid_farewell("Server is shutting down")

    def _set_buffer_limits(self) -> None:
        settings = self._hall.settings
        self._transport.set_write_buffer_limits(
            settings.write_buffer_high_bytes, settings.write_buffer_low_bytes
        )

    # From octets to commands.

    def _proceed(self) -> None:
        while not self._ended and (self._task is None or self._asked is not None):
            event = self._receiver.next_event()
            if event is None:
                break
            self._take(event)
        if self._is_held and self._task is None and not self._ended:
            self._is_held = False
            self._transport.resume_reading()

    def _take(self, event: Event) -> None:
        match event:
            case CommandFrame():
                self._take_command(event)
            case LiteralWanted():
                self._take_literal_wish(event)
            case ContinuationLine(line):
                self._take_line(line)
            case FrameError():
                self._refuse(event)
                if event.is_fatal:
                    self.end()

    def _take_command(self, frame: CommandFrame) -> None:
        command = parse_command(frame)
        if isinstance(command, BadCommand):
            self._refuse(command)
        elif not is_allowed(command, self._session.state):
            reason = explain_refusal(command, self._session.state)
            self._refuse(BadCommand(command.tag, reason))
        elif isinstance(command, Idle):
            self._idle_tag = command.tag
            self._receiver.expect_line()
            self.send(responses.IDLING)
            self._woken = True
            self._look()
        else:
            self._run(command)

    def _take_literal_wish(self, wish: LiteralWanted) -> None:
        refusal = dispatch.refuse_message(self._session, wish.tag) if wish.is_message else b""
        if refusal:
            self._receiver.refuse_literal()
        self.send(refusal or responses.GO_AHEAD)

    def _take_line(self, line: bytes) -> None:
        if self._asked is not None:
            asked, self._asked = self._asked, None
            if not asked.done():
                asked.set_result(line)
            return
        tag, self._idle_tag = self._idle_tag, b""
        if is_done(line):
            self.send(responses.ok(tag, "IDLE completed"))
        else:
            self._refuse(BadCommand(tag, "DONE expected"))

    def _refuse(self, refused: BadCommand | FrameError) -> None:
        self.send(responses.refusal(refused))
        if refused.status == "BAD":
            self._bad_commands += 1
            if self._bad_commands > self._hall.settings.bad_commands_max:
                self.send(responses.bye("Too many commands that make no sense"))
                self.end()

    # Running.

    def _run(self, command: Command) -> None:
        self._hall.figures.commands.value += 1
        self._task = self._loop.create_task(dispatch.obey(self._session, command))
        self._task.add_done_callback(self._finish)

    def _look(self) -> None:
        self._woken = False
        self._looked_s = self._hall.clock.monotonic_s()
        if self._session.view is not None:
            self._task = self._loop.create_task(self._look_once())
            self._task.add_done_callback(self._finish)

    async def _look_once(self) -> None:
        if not await idling.look(self._session):
            self._looked_s = -math.inf  # the next sweep tries again

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._task = None
        self._asked = None
        if task.cancelled():
            self.end()
        elif (error := task.exception()) is not None:
            self._fall_over(error)
        if self._ended:
            return
        if self._dismissed:
            self._bid_farewell("Server is shutting down")
        elif self._idle_tag and self._woken:
            self._look()
        else:
            self._proceed()

    def _fall_over(self, error: BaseException) -> None:
        """A bug, or the client went in the middle of an answer."""
        if isinstance(error, ConnectionError):
            self.end()
            return
        self._hall.figures.bugs.value += 1
        self._hall.logger.error("imap-bug", error=repr(error), peer=self._address)
        self.send(responses.bye("Internal error, please reconnect", SERVERBUG))
        self.end()

    def _bid_farewell(self, words: str) -> None:
        self.send(responses.bye(words))
        self.end()
