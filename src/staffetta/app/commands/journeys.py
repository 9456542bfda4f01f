"""`staffetta journey` and `staffetta sums`: what became of each message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from staffetta.app.commands.reading_log import iso, opened_log, since_option, since_us, time_text
from staffetta.app.invocation import Invocation, service_options

if TYPE_CHECKING:
    from staffetta.journey.states import Journey, RecipientJourney
    from staffetta.journey.trace import Attempt, Sums
    from staffetta.log.port import LogReader

LIMIT = 200


@click.command("journey")
@service_options
@click.argument("receipt", required=False)
@click.option("--message-id", metavar="ID", help="The Message-ID, with or without brackets.")
@click.option("--to", "address", metavar="ADDRESS", help="All messages for this address.")
@click.option("--refused", is_flag=True, help="Refused attempts (with --to: of this address).")
@since_option
def journey(
    call: Invocation,
    receipt: str | None,
    message_id: str | None,
    address: str | None,
    refused: bool,
    since: str,
) -> None:
    """Say what became of a message: accepted, held, delivered, or refused and why.

    RECEIPT is in the text of the 250 and in the Received field.
    """
    from staffetta.journey import trace

    moment = since_us(call, since)
    journeys: list[Journey] = []
    attempts: list[Attempt] = []
    with opened_log(call) as log:
        if receipt:
            journeys = [_by_receipt(call, log, receipt)]
        elif message_id:
            journeys = trace.trace_message_id(log, message_id, moment)
        elif address and not refused:
            journeys = trace.trace_mailbox(log, _mailbox(call, address), moment, LIMIT)
        elif not refused:
            call.fail(call.texts("journey.how"), code=2)
        if refused or (address and not receipt):
            attempts = trace.trace_refused(log, moment, address or "")
    content = {
        "messages": [_as_json(one) for one in journeys],
        "refused": [_attempt_as_json(one) for one in attempts],
    }

    def for_people(console: Any) -> None:
        for one in journeys:
            for line in _words(call, one):
                console.print(line, markup=False)
        for attempt in attempts:
            console.print(_attempt_words(call, attempt), markup=False)
        if not journeys and not attempts:
            console.print(call.texts("journey.none", since=time_text(moment)), markup=False)

    call.answer(content, for_people)


def _by_receipt(call: Invocation, log: LogReader, text: str) -> Journey:
    from staffetta.journey.trace import trace_receipt
    from staffetta.log.receipts import BadReceipt, from_text

    try:
        found = trace_receipt(log, from_text(text))
    except BadReceipt as reason:
        call.fail(call.texts("journey.bad_receipt", text=text, reason=reason), code=2)
    if found is None:
        call.fail(call.texts("journey.unknown"))
    return found


def _mailbox(call: Invocation, address: str) -> int:
    from staffetta.app.commands.directory import opened

    with opened(call) as directory:
        return directory.accounts.get(address).mailbox


def _as_json(one: Journey) -> dict[str, Any]:
    from staffetta.log.receipts import to_text

    return {
        "receipt": to_text(one.receipt),
        "accepted_at": iso(one.at_us),
        "reverse_path": one.fact.reverse_path,
        "peer": one.fact.peer,
        "helo": one.fact.helo,
        "protocol": one.fact.protocol,
        "message_id": one.fact.message_id,
        "size_bytes": one.fact.size_bytes,
        "partition": one.partition,
        "position": one.position,
        "recipients": [
            {
                "addresses": list(recipient.addresses),
                "mailbox": recipient.mailbox,
                "brand": recipient.brand,
                "state": recipient.state.value,
                "since": iso(recipient.since_us),
                "reason": recipient.reason,
                "cell": recipient.cell,
                "folder": recipient.folder,
                "uid": recipient.uid,
                "uid_validity": recipient.uid_validity,
                "steps": [
                    {"at": iso(step.at_us), "what": step.what, "detail": step.detail}
                    for step in recipient.steps
                ],
            }
            for recipient in one.recipients
        ],
    }


def _attempt_as_json(attempt: Attempt) -> dict[str, Any]:
    fact = attempt.fact
    return {
        "at": iso(attempt.at_us),
        "stage": fact.stage,
        "reply": fact.reply,
        "peer": fact.peer,
        "helo": fact.helo,
        "reverse_path": fact.reverse_path,
        "recipient": fact.recipient,
        "recipients_lost": fact.recipients,
        "times": fact.times,
    }


def _words(call: Invocation, one: Journey) -> list[str]:
    from staffetta.log.receipts import to_text

    texts, fact = call.texts, one.fact
    lines = [
        texts(
            "journey.accepted",
            receipt=to_text(one.receipt),
            at=time_text(one.at_us),
            sender=fact.reverse_path,
            peer=fact.peer,
            protocol=fact.protocol,
            size=fact.size_bytes,
        )
    ]
    if fact.message_id:
        lines.append(texts("journey.message_id", message_id=fact.message_id))
    return lines + [_recipient_words(call, recipient) for recipient in one.recipients]


def _recipient_words(call: Invocation, recipient: RecipientJourney) -> str:
    texts = call.texts
    reason = texts(f"held.{recipient.reason}") if recipient.reason else ""
    return texts(
        f"journey.{recipient.state.value}",
        address=", ".join(recipient.addresses),
        at=time_text(recipient.since_us),
        reason=reason,
        folder=recipient.folder,
        uid=recipient.uid,
        cell=recipient.cell,
    )


def _attempt_words(call: Invocation, attempt: Attempt) -> str:
    fact = attempt.fact
    times = call.texts("journey.times", times=fact.times) if fact.times > 1 else ""
    return call.texts(
        "journey.refused",
        at=time_text(attempt.at_us),
        stage=fact.stage,
        reply=fact.reply,
        sender=fact.reverse_path,
        recipient=fact.recipient,
        peer=fact.peer,
        times=times,
    )


@click.command("sums")
@service_options
@since_option
def sums(call: Invocation, since: str) -> None:
    """Prove that every recipient has one fate: the sums of the log, and of the doors."""
    from staffetta.journey.trace import add_up

    moment = since_us(call, since)
    with opened_log(call) as log:
        counted = add_up(log, moment)
    doors = _doors(call)
    wrong = [name for name, figures in doors.items() if figures["open"] < 0]
    agree = counted.agree and not wrong
    content = {
        "since": iso(moment),
        "log": {
            "messages": counted.messages,
            "accepted": counted.accepted,
            "delivered": counted.delivered,
            "held": counted.held,
            "waiting": counted.waiting,
            "refused": counted.refused,
            "disagreements": counted.disagreements,
        },
        "doors": doors,
        "agree": agree,
    }
    call.answer(content, lambda console: _print_sums(call, console, counted, doors, moment, wrong))
    if not agree:
        raise SystemExit(1)


def _doors(call: Invocation) -> dict[str, dict[str, int]]:
    """What each accepting process has counted; empty when none runs."""
    from staffetta.app.control import NoAnswer
    from staffetta.app.status import ask_each, ask_parent

    config = call.load()
    try:
        _, processes = ask_parent(config)
    except NoAnswer:
        return {}
    accepting = [one for one in processes if one.role == "accept" and one.pid]
    found = {}
    for name, answer in ask_each(config, accepting, {"do": "status"}).items():
        if isinstance(answer, dict):
            numbers = answer.get("numbers", {})
            keys = ("offered", "accepted", "refused", "abandoned")
            figures = {key: int(numbers.get(key, 0)) for key in keys}
            fates = figures["accepted"] + figures["refused"] + figures["abandoned"]
            found[name] = {**figures, "open": figures["offered"] - fates}
    return found


def _print_sums(
    call: Invocation,
    console: Any,
    counted: Sums,
    doors: dict[str, dict[str, int]],
    moment: int,
    wrong: list[str],
) -> None:
    texts = call.texts
    lines = [
        texts("sums.since", since=time_text(moment), messages=counted.messages),
        "  "
        + texts(
            "sums.accepted",
            accepted=counted.accepted,
            delivered=counted.delivered,
            held=counted.held,
            waiting=counted.waiting,
        ),
    ]
    for name, figures in doors.items():
        lines += [texts("sums.process", process=name), "  " + texts("sums.offered", **figures)]
    if counted.agree and not wrong:
        lines.append(texts("sums.agree"))
    else:
        detail = f"{counted.disagreements} facts without acceptance; {', '.join(wrong)}"
        lines.append(texts("sums.disagree", detail=detail))
    for line in lines:
        console.print(line, markup=False)
