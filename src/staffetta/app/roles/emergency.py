"""The emergency inbox of one access process: log, actions, replies, sign-in put together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from staffetta.app import wiring
from staffetta.app.roles.contract import Command, RoleContext
from staffetta.directory.credentials import SignedIn, SignIn
from staffetta.directory.recipients import Known, Recipients
from staffetta.doors.web.emergency import NotKept, NotSendable, Page
from staffetta.journey.accept import Acceptance, Answer, Safe, Transaction
from staffetta.journey.emergency import (
    BadAction,
    EmergencyActions,
    EmergencyInbox,
    NotYours,
    compose_reply,
)
from staffetta.journey.repeats import Repeats
from staffetta.journey.states import State
from staffetta.log.commit import CommitResult, GroupCommit
from staffetta.log.facts import MailboxChanged, Recipient
from staffetta.log.port import LogDamaged, NewEntry
from staffetta.log.receipts import ReceiptMint, from_text, to_text
from staffetta.runtime.faults import VolumeFault
from staffetta.runtime.tasks import DeadlineMissed, Pool, PoolBusy, ThreadWorker

T = TypeVar("T")

READ_DEADLINE_S = 15.0
THREADS_MAX = 4
WAITING_MAX = 256


class Emergency:
    """Implements `doors.web.emergency.EmergencyService` on this process's part of the log."""

    def __init__(
        self,
        context: RoleContext,
        recipients: Recipients,
        sign_in: Callable[[str, str, str], Awaitable[SignIn]],
        cell_state: Callable[[str], str],
    ) -> None:
        """`sign_in(address, password, peer)` is awaited; `cell_state(cell)` gives a word."""
        settings = context.config.emergency
        self.limit_max = settings.page_messages_max
        self.body_bytes_max = context.config.http.body_bytes_max
        self._context = context
        self._recipients = recipients
        self._sign_in = sign_in
        self._cell_state = cell_state
        self._pool = Pool("emergency", THREADS_MAX, WAITING_MAX)
        self._local = threading.local()
        self._writer = wiring.open_log_writer(context)
        self._worker = ThreadWorker("log", asyncio.get_running_loop())
        self._commit = GroupCommit(self._writer, self._worker)
        mint = ReceiptMint(context.partition, context.entropy)
        self._actions = EmergencyActions(mint, context.clock)
        self._mint = mint
        self._acceptance = Acceptance(
            self._commit, mint, context.clock, context.host_name, Repeats()
        )

    async def close(self) -> None:
        """Finish what is being written."""
        await self._commit.settle()
        self._worker.close()
        await asyncio.to_thread(self._worker.join, 2.0)
        self._writer.close()

    async def sign_in(self, address: str, password: str, peer: str) -> SignIn:
        """See the protocol."""
        return await self._sign_in(address, password, peer)

    async def page(self, signed_in: SignedIn, folder: str, limit: int) -> Page:
        """See the protocol."""
        mailbox = signed_in.target.mailbox
        glimpses = await self._read(lambda inbox: inbox.glimpses(mailbox, limit, folder))
        return Page(glimpses, self._cell_state(signed_in.target.cell))

    async def content(self, signed_in: SignedIn, receipt: bytes) -> tuple[bytes, State]:
        """See the protocol."""
        mailbox = signed_in.target.mailbox
        return await self._read(
            lambda inbox: (inbox.content(mailbox, receipt), inbox.state(mailbox, receipt))
        )

    async def act(self, signed_in: SignedIn, verb: str, receipts: list[bytes], folder: str) -> str:
        """See the protocol."""
        mailbox = signed_in.target.mailbox
        await self._read(lambda inbox: inbox.check(mailbox, verb, receipts, folder))
        entry = self._actions.acted(mailbox, verb, receipts, folder)
        await self._keep([entry])
        return to_text(entry.receipt)

    async def reply(self, signed_in: SignedIn, receipt: bytes, text: str) -> str:
        """See the protocol."""
        target = signed_in.target
        original, _ = await self.content(signed_in, receipt)
        now_us = self._context.clock.now_us()
        domain = target.address.rpartition("@")[2]
        message_id = f"{to_text(self._mint.make(now_us)).lower()}@{domain}"
        reply = compose_reply(original, target.address, text, message_id, now_us)
        local_part, _, to_domain = reply.recipient.rpartition("@")
        match self._recipients.resolve(local_part, to_domain):
            case Known(targets=targets):
                recipients = tuple(
                    Recipient(one.mailbox, one.brand, (reply.recipient,)) for one in targets
                )
            case _:
                raise NotSendable(
                    f"{reply.recipient} is not an address of this service; mail to other"
                    " servers cannot be sent from the emergency inbox"
                )
        transaction = Transaction("127.0.0.1", target.address, "HTTP", target.address, recipients)
        kept = await self._accept(transaction, reply.content, reply.message_id)
        await self._keep(self._actions.sent(target.mailbox, receipt, reply.content))
        return kept.receipt

    def commands(self) -> dict[str, Command]:
        """For the control socket: what an operator does on behalf of an owner who calls."""
        return {"emergency-act": self._answer_act, "emergency-reply": self._answer_reply}

    async def _answer_act(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        receipts = [from_text(str(text)) for text in request["receipts"]]
        folder = str(request.get("folder", ""))
        return await self._answer(
            request, lambda owner: self.act(owner, str(request["verb"]), receipts, folder)
        )

    async def _answer_reply(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        receipt, text = from_text(str(request["receipt"])), str(request["text"])
        return await self._answer(request, lambda owner: self.reply(owner, receipt, text))

    async def _answer(
        self, request: Mapping[str, Any], work: Callable[[SignedIn], Awaitable[str]]
    ) -> Mapping[str, Any]:
        target = self._recipients.by_mailbox(int(request["mailbox"]))
        if target is None:
            return {"refused": "there is no such mailbox"}
        try:
            return {"done": await work(SignedIn(target))}
        except NotYours:
            return {"refused": "there is no such message for this mailbox"}
        except (BadAction, NotSendable) as error:
            return {"refused": str(error)}
        except NotKept:
            return {"refused": "the log cannot keep it now; nothing was done"}

    def note_damage(self, mailbox: int, detail: str) -> None:
        """Tell the delivering process, through the log, of a mailbox that has to be rebuilt."""
        now_us = self._context.clock.now_us()
        fact = MailboxChanged(mailbox, "damaged", detail)
        self._commit.submit(NewEntry(now_us, self._mint.make(now_us), fact, None, (mailbox,)), None)

    async def _accept(self, transaction: Transaction, content: bytes, message_id: str) -> Safe:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._acceptance.accept(transaction, content, message_id, future.set_result)
        answer = await future
        if not isinstance(answer, Safe):
            raise NotKept
        self._acceptance.confirm(answer.digest)
        return answer

    async def _keep(self, entries: Sequence[NewEntry]) -> None:
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[CommitResult]] = []
        for entry in entries:
            future = loop.create_future()
            futures.append(future)
            self._commit.submit(entry, future.set_result)
        for future in futures:
            if await future is not CommitResult.DURABLE:
                raise NotKept

    async def _read(self, job: Callable[[EmergencyInbox], T]) -> T:
        """Run on a thread with a reader of its own; the log's disk may be slow."""
        try:
            return await self._pool.run(lambda abandoned: job(self._inbox()), READ_DEADLINE_S)
        except (DeadlineMissed, PoolBusy, VolumeFault, LogDamaged) as error:
            self._context.logger.error("emergency-read-failed", detail=str(error))
            raise NotKept from error

    def _inbox(self) -> EmergencyInbox:
        inbox: EmergencyInbox | None = getattr(self._local, "inbox", None)
        if inbox is None:
            context = self._context
            reader = wiring.open_log_reader(context.config, context.volumes)
            inbox = EmergencyInbox(reader, context.clock, context.config.emergency.days)
            self._local.inbox = inbox
        return inbox
