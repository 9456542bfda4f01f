"""End to end: from the first byte sent to all messages visible by IMAP."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.bench import Bench, Sample
from benchmarks.loads.imap_reader import ImapReader, StatusSweep
from benchmarks.loads.smtp_source import SmtpLoad, send
from benchmarks.peers.port import MailStore, PeerFault
from benchmarks.peers.postfix import DOMAIN
from benchmarks.peers.relay import PostfixDovecot
from benchmarks.report import Report, Unit
from benchmarks.staffetta_peer import Roles, Staffetta

NAME = "endtoend"
MAILBOXES = 2000
HOT = f"hot@{DOMAIN}"
SENTINELS = 20
POLL_INTERVAL_S = 0.02
VISIBLE_TIMEOUT_S = 240.0
SPOT_CHECKS = 5
SIZE_BYTES = 4096
SPEED_MIN = 10.0


@dataclass(frozen=True, slots=True)
class Case:
    """Where the messages go: ``passes`` times one to each mailbox, or all to one."""

    name: str
    users: list[str]
    passes: int
    load: SmtpLoad

    @property
    def messages(self) -> int:
        """Messages of one run."""
        return self.passes * self.load.messages

    @property
    def per_mailbox(self) -> int:
        """Messages that each mailbox gets in one run."""
        return self.messages // len(self.users)


@dataclass(frozen=True, slots=True)
class Contender:
    """A running store, with a signed-in connection to every mailbox."""

    store: MailStore
    sweep: StatusSweep


def measure(bench: Bench) -> Report:
    """Run it and return what was found."""
    report = bench.open_report(NAME)
    mailboxes = bench.choose(MAILBOXES, 400)
    users = [f"{number}u@{DOMAIN}" for number in range(1, mailboxes + 1)]
    cases = _list_cases(bench, users)
    report.settings["load"] = {
        "generator": "smtp-source, 16 sessions, reused, no pipelining",
        "message": f"{SIZE_BYTES} bytes and headers",
        **{case.name: f"{case.messages} messages" for case in cases},
        "visible": "STATUS of every mailbox on connections opened before; bodies spot-checked",
        "before": "every mailbox exists and has had mail",
    }
    stores: list[MailStore] = [PostfixDovecot(bench.workplace, [*users, HOT])]
    if bench.with_staffetta:
        stores.append(Staffetta(bench.workplace, [*users, HOT], Roles.ALL))
    with bench.running(report, *stores):
        contenders = _prepare(bench, stores, cases)
        _alternate(bench, report, contenders, cases)
        for contender in contenders:
            contender.sweep.close()
    for case in cases:
        report.compare(case.name, Roles.ALL.label, PostfixDovecot.name, SPEED_MIN)
    return report


def _list_cases(bench: Bench, users: list[str]) -> list[Case]:
    each = SmtpLoad(len(users), f"u@{DOMAIN}", size_bytes=SIZE_BYTES)
    hot = SmtpLoad(bench.choose(3000, 400), HOT, numbered=False, size_bytes=SIZE_BYTES)
    return [
        Case(f"{len(users)} mailboxes evenly", users, bench.choose(2, 1), each),
        Case("one hot mailbox", [HOT], 1, hot),
    ]


def _prepare(bench: Bench, stores: list[MailStore], cases: list[Case]) -> list[Contender]:
    """One message to every mailbox, so that all exist, and a connection to each."""
    contenders: list[Contender] = []
    users = [user for case in cases for user in case.users]
    with bench.step("filling and signing in", len(stores)) as advance:
        for store in stores:
            for case in cases:
                send(
                    SmtpLoad(len(case.users), case.load.recipient, numbered=case.load.numbered),
                    store.smtp,
                )
            sweep = StatusSweep(store.imap, users, store.password)
            await_counts(sweep, dict.fromkeys(users, 1))
            contenders.append(Contender(store, sweep))
            advance(1)
    return contenders


def _alternate(
    bench: Bench, report: Report, contenders: list[Contender], cases: list[Case]
) -> None:
    with bench.step("delivering", bench.runs * len(cases) * len(contenders)) as advance:
        for number in range(bench.runs):
            for case in cases:
                for contender in contenders:
                    run = _make_run(contender, case, f"r{number}.{case.passes}@sender.example")
                    bench.record(report, contender.store, case.name, number, run)
                    advance(1)


def _make_run(contender: Contender, case: Case, sender: str) -> Callable[[], Sample]:
    had = contender.sweep.count(case.users)
    expected = {user: count + case.per_mailbox for user, count in had.items()}
    load = SmtpLoad(
        messages=case.load.messages,
        recipient=case.load.recipient,
        sender=sender,
        numbered=case.load.numbered,
        size_bytes=SIZE_BYTES,
    )

    def run() -> Sample:
        started = time.perf_counter()
        for _ in range(case.passes):
            send(load, contender.store.smtp)
        sent_s = time.perf_counter() - started
        await_counts(contender.sweep, expected)
        visible_s = time.perf_counter() - started
        spot_check(contender.store, case.users, sender)
        detail: dict[str, float | int | str] = {
            "messages": case.messages,
            "accepted_after_s": round(sent_s, 3),
            "visible_after_s": round(visible_s, 3),
        }
        return Sample(case.messages / visible_s, Unit.PER_SECOND, case.messages, detail)

    return run


def await_counts(sweep: StatusSweep, expected: dict[str, int]) -> None:
    """Return when every mailbox has its number of messages.

    The last few mailboxes are watched alone until they are complete, so that watching takes little
    from the server; then all are asked. Raises :class:`PeerFault` when it takes too long or a
    mailbox has more than it should.
    """
    limit = time.monotonic() + VISIBLE_TIMEOUT_S
    missing = list(expected)
    watched = missing[-SENTINELS:]
    while missing:
        counts = sweep.count(watched)
        for user, count in counts.items():
            if count > expected[user]:
                raise PeerFault(f"{user} has {count} messages where {expected[user]} were sent")
        late = [user for user in watched if counts[user] < expected[user]]
        if late and time.monotonic() > limit:
            raise PeerFault(f"{len(late)} mailboxes incomplete, {late[0]} has {counts[late[0]]}")
        if late:
            watched = late
            time.sleep(POLL_INTERVAL_S)
        elif len(watched) == len(missing):
            missing = []
        else:
            watched = missing = [user for user in missing if user not in set(watched)]


def spot_check(store: MailStore, users: list[str], sender: str) -> None:
    """Read the newest message of a few mailboxes. Raises :class:`PeerFault` if it is another."""
    for user in users[:: max(1, len(users) // SPOT_CHECKS)][:SPOT_CHECKS]:
        reader = ImapReader(store.imap)
        reader.log_in(user, store.password)
        reader.ask(b"EXAMINE INBOX")
        text = reader.fetch_text(b"FETCH * BODY.PEEK[]")
        reader.close()
        if b"From: <%s>" % sender.encode() not in text or text.count(b"XXXX") < SIZE_BYTES // 100:
            raise PeerFault(f"{user} at {store.name}: not the message that was sent")
