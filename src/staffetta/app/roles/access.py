"""The access role: IMAP, the emergency inbox over HTTP, and sign-in for both.

Signing in and the emergency inbox use this process's own recipient table and the log. Whatever
touches a cell goes through that cell's `CellAccess`, so that one that hangs stops nobody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.applications import Starlette

from staffetta.app import wiring
from staffetta.app.config import Config
from staffetta.app.roles.access_imap import ImapPart, access_settings
from staffetta.app.roles.contract import CellState, Role, RoleContext, RoleState
from staffetta.app.roles.emergency import Emergency
from staffetta.app.roles.recipients import directory_state, open_recipients
from staffetta.directory.credentials import CannotSay, Credentials, SignIn, SignInSettings
from staffetta.directory.passwords import HashParameters
from staffetta.directory.replica import RecipientTable
from staffetta.doors.web.emergency import EmergencyDoor
from staffetta.doors.web.server import HttpServer
from staffetta.mailboxes import access
from staffetta.mailboxes.port import MailboxDamaged, MailboxIncomplete, MailboxRef
from staffetta.runtime.net import Listening
from staffetta.screening.attempts import AttemptLimits, Attempts
from staffetta.screening.sign_in import SignInDesk, TooManyAttempts


def build(context: RoleContext) -> Role:
    """The role of this process."""
    return AccessRole(context)


# How often a damaged mailbox that is asked for again and again is written of in the log.
TELL_AGAIN_S = 60.0


class AccessRole:
    """One process in which people read their mail."""

    def __init__(self, context: RoleContext) -> None:
        self._context = context
        self._since_us: dict[str, int] = {}
        self._told: dict[int, float] = {}  # damaged mailbox → when it may be told of again
        self._cells = access.CellAccesses(
            lambda name: wiring.open_cell(context, name),
            access_settings(context.config),
            changed=self._note_cell,
            troubled=self._note_trouble,
        )
        self._table: RecipientTable | None = None
        self._desk: SignInDesk | None = None
        self._imap: ImapPart | None = None
        self._emergency: Emergency | None = None
        self._http: HttpServer | None = None

    async def start(self) -> None:
        context = self._context
        self._table = await asyncio.to_thread(open_recipients, context, with_credentials=True)
        credentials = await asyncio.to_thread(_open_credentials, context, self._table)
        attempts = Attempts(context.clock, context.entropy, AttemptLimits())
        self._desk = SignInDesk(credentials, attempts)
        for name in self._table.catalogue.cells:
            self._cells.of(name)  # so that a broken one is known before anybody asks for it
        self._emergency = Emergency(context, self._table, self._sign_in, self._say_cell)
        context.commands.update(self._emergency.commands())
        await self._serve_http(self._emergency)
        self._imap = ImapPart(context, self._table, self._desk, self._cells)
        await self._imap.start()

    async def drain(self, deadline_s: float) -> None:
        if self._imap is not None and not await self._imap.drain(deadline_s * 0.6):
            self._context.logger.warning("imap-left-behind")
        if self._http is not None:
            await self._http.stop()
        if self._emergency is not None:
            await self._emergency.close()
        await self._cells.close()

    def reload(self, config: Config) -> None:
        if self._imap is not None:
            self._imap.reload(config)

    def state(self) -> RoleState:
        if self._imap is None or self._table is None:
            return RoleState(working=False, detail="starting")
        cells = {
            cell.name: CellState(
                state=cell.state.value,
                detail=cell.detail,
                since_us=self._since_us.get(cell.name, 0),
            )
            for cell in self._cells
        }
        return RoleState(
            cells=cells,
            directory=directory_state(self._table),
            numbers={"imap_connections": self._imap.hall.connections},
        )

    def listeners(self) -> Sequence[Listening]:
        http = [bound.listening for bound in self._context.sockets.get("http", ())]
        return [*(self._imap.listeners() if self._imap is not None else ()), *http]

    async def _serve_http(self, emergency: Emergency) -> None:
        bound = self._context.sockets.get("http", ())
        if bound:
            application = Starlette(routes=EmergencyDoor(emergency).routes())
            requests_max = self._context.config.http.connections_max
            self._http = HttpServer(application, [one.socket for one in bound], requests_max)
            await self._http.start()

    async def _sign_in(self, address: str, password: str, peer: str) -> SignIn:
        assert self._desk is not None
        outcome = await self._desk.check(address, password, peer)
        if isinstance(outcome, TooManyAttempts):
            return CannotSay("too many failed attempts came from there")
        return outcome

    def _say_cell(self, name: str) -> str:
        return self._cells.of(name).state.value

    def _note_cell(self, cell: str, state: access.CellState, detail: str) -> None:
        self._since_us[cell] = self._context.clock.now_us()
        healthy = state is access.CellState.HEALTHY
        say = self._context.logger.info if healthy else self._context.logger.error
        say("cell", cell=cell, state=state.value, detail=detail)

    def _note_trouble(self, ref: MailboxRef, error: MailboxDamaged | MailboxIncomplete) -> None:
        """A mailbox cannot be shown. Setting it aside and rebuilding it is delivery's work."""
        damaged = isinstance(error, MailboxDamaged)
        say = self._context.logger.error if damaged else self._context.logger.info
        event = "mailbox-damaged" if damaged else "mailbox-incomplete"
        say(event, mailbox=ref.mailbox, detail=str(error))
        now_s = self._context.clock.monotonic_s()
        if self._emergency is not None and self._told.get(ref.mailbox, 0.0) < now_s:
            self._told[ref.mailbox] = now_s + TELL_AGAIN_S
            self._emergency.note_damage(ref.mailbox, str(error))


def _open_credentials(context: RoleContext, table: RecipientTable) -> Credentials:
    """Sign-in on this process's own table. Takes the time of one guess."""
    argon2 = context.config.argon2
    parameters = HashParameters(argon2.rounds, argon2.memory_kib, argon2.lanes)
    return Credentials(table, context.clock, context.entropy, SignInSettings(parameters))
