"""`staffetta emergency ADDRESS`: a mailbox's recent mail, read from the log alone."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from staffetta.app.commands.reading_log import iso, opened_log, time_text
from staffetta.app.invocation import Invocation, service_options

if TYPE_CHECKING:
    from staffetta.app.config import Config
    from staffetta.directory.records import MailboxRecord
    from staffetta.journey.emergency import EmergencyInbox, Glimpse

ACT_TIMEOUT_S = 30.0


@click.command("emergency")
@service_options
@click.argument("address")
@click.argument("receipts", nargs=-1, metavar="[RECEIPT]...")
@click.option("--folder", default="INBOX", show_default=True, help="To list, or to move into.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True)
@click.option("--raw", is_flag=True, help="Print the whole message as it was accepted.")
@click.option("--do", "verb", metavar="VERB", help="read, unread, flag, unflag, delete, move.")
@click.option("--reply", "text", metavar="TEXT", help="Answer the message; - reads the text.")
def emergency(
    call: Invocation,
    address: str,
    receipts: tuple[str, ...],
    folder: str,
    limit: int,
    raw: bool,
    verb: str | None,
    text: str | None,
) -> None:
    """List, read and act on the mail of ADDRESS while its cell is down (or not).

    With RECEIPT, show that message. Nothing here touches a cell. What is done with --do and
    --reply is kept in the log and replayed on the mailbox.
    """
    owner = _owner(call, address)
    if verb is not None:
        request = {"do": "emergency-act", "verb": verb, "receipts": receipts, "folder": folder}
        action = _ask_access(call, owner, request)
        words = call.texts("emergency.done", verb=verb, count=len(receipts), action=action)
        call.answer({"action": action}, lambda console: console.print(words, markup=False))
    elif text is not None:
        content = sys.stdin.read() if text == "-" else text
        request = {"do": "emergency-reply", "receipt": _single(call, receipts), "text": content}
        receipt = _ask_access(call, owner, request)
        words = call.texts("emergency.replied", receipt=receipt)
        call.answer({"receipt": receipt}, lambda console: console.print(words, markup=False))
    elif receipts:
        _print_message(call, owner, _single(call, receipts), raw)
    else:
        _print_list(call, owner, folder, limit)


def _owner(call: Invocation, address: str) -> MailboxRecord:
    from staffetta.app.commands.directory import opened

    with opened(call) as directory:
        return directory.accounts.get(address)


def _single(call: Invocation, receipts: tuple[str, ...]) -> str:
    if len(receipts) != 1:
        call.fail(call.texts("journey.how"), code=2)
    return receipts[0]


def _inbox(config: Config, log: Any) -> EmergencyInbox:
    from staffetta.journey.emergency import EmergencyInbox
    from staffetta.runtime.clock import SystemClock

    return EmergencyInbox(log, SystemClock(), config.emergency.days)


def _print_list(call: Invocation, owner: MailboxRecord, folder: str, limit: int) -> None:
    from staffetta.log.receipts import to_text

    config = call.load()
    with opened_log(call) as log:
        inbox = _inbox(config, log)
        glimpses = inbox.glimpses(owner.mailbox, limit, folder)
        since = inbox.since_us()
    rows = [
        {**asdict(one), "receipt": to_text(one.receipt), "accepted_at": iso(one.at_us)}
        for one in glimpses
    ]

    def for_people(console: Any) -> None:
        head = call.texts(
            "emergency.head",
            address=owner.address,
            cell=owner.cell,
            count=len(glimpses),
            since=time_text(since),
        )
        console.print(head, markup=False)
        for one in glimpses:
            console.print(_line(one), markup=False, overflow="ellipsis", no_wrap=True)

    content = {"address": owner.address, "cell": owner.cell, "folder": folder, "messages": rows}
    call.answer(content, for_people)


def _line(one: Glimpse) -> str:
    from staffetta.log.receipts import to_text

    marks = f"{' ' if one.read else 'N'}{'!' if one.flagged else ' '}{'R' if one.answered else ' '}"
    return f"{to_text(one.receipt)}  {time_text(one.at_us)} {marks} {one.sender}: {one.subject}"


def _print_message(call: Invocation, owner: MailboxRecord, text: str, raw: bool) -> None:
    from staffetta.journey import showing
    from staffetta.journey.emergency import NotYours
    from staffetta.log.receipts import BadReceipt, from_text

    config = call.load()
    try:
        receipt = from_text(text)
        with opened_log(call) as log:
            inbox = _inbox(config, log)
            content = inbox.content(owner.mailbox, receipt)
            state = inbox.state(owner.mailbox, receipt)
    except BadReceipt as reason:
        call.fail(call.texts("journey.bad_receipt", text=text, reason=reason), code=2)
    except NotYours:
        days = config.emergency.days
        call.fail(call.texts("emergency.none", address=owner.address, days=days))
    if raw:
        click.echo(content, nl=False)
        return
    shown = showing.show(content)

    def for_people(console: Any) -> None:
        for name, value in shown.headers.items():
            console.print(f"{name}: {value}", markup=False)
        console.print()
        console.print(shown.text, markup=False)
        for one in shown.attachments:
            console.print(f"[{one.media_type}] {one.name} ({one.size_bytes})", markup=False)

    call.answer({"receipt": text, "state": state.value, **asdict(shown)}, for_people)


def _ask_access(call: Invocation, owner: MailboxRecord, request: dict[str, Any]) -> str:
    from staffetta.app.control import NoAnswer, ask, socket_path

    config = call.load()
    path = socket_path(config.data.run, "access", 0)
    try:
        answer = ask(path, {**request, "mailbox": owner.mailbox}, ACT_TIMEOUT_S)
    except NoAnswer:
        call.fail(call.texts("emergency.needs_service"))
    if "done" not in answer:
        reason = answer.get("refused") or answer.get("error") or answer
        call.fail(call.texts("emergency.not_done", reason=reason))
    return str(answer["done"])
