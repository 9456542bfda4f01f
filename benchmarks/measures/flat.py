"""Flat cost: the delivery rate must not depend on how many mailboxes there are.

Two services, one with few mailboxes and one with many. Mail is accepted while nothing delivers;
then only the delivering process runs, and its rate is what counts.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from benchmarks.bench import Bench, Sample
from benchmarks.loads.smtp_source import SmtpLoad, send
from benchmarks.peers.postfix import DOMAIN
from benchmarks.report import Report, Unit
from benchmarks.staffetta_peer import Roles, Staffetta

NAME = "flat"
GROUP_MAILBOXES = 1000
GROUPS_FEW = 1
GROUPS_MANY = 100
GROUPS_MANY_QUICK = 4
# Prime to the number of groups, so that rounds reach all over the population.
GROUP_STRIDE = 37
PASSES = 5
FIRST, AGAIN = "first message of each mailbox", f"{PASSES} messages for each of 1,000 mailboxes"
SPEED_MIN = 0.8
FILL_LIMIT_S = 300.0


@dataclass(slots=True)
class Population:
    """A service, the groups of a thousand mailboxes that it has, and those that have had mail."""

    service: Staffetta
    groups: int
    touched: list[int] = field(default_factory=list)

    def choose_group(self, number: int) -> int:
        """The group to be touched again in a round."""
        return self.touched[number * GROUP_STRIDE % len(self.touched)]


def measure(bench: Bench) -> Report:
    """Run it and return what was found; nothing without Staffetta."""
    report = bench.open_report(NAME)
    if not bench.with_staffetta:
        return report
    many = bench.choose(GROUPS_MANY, GROUPS_MANY_QUICK)
    populations = [_populate(bench, groups) for groups in (GROUPS_FEW, many)]
    report.settings["load"] = {
        "accepting": "first and alone, by SMTP",
        "delivering": "then and alone; the rate is that of the delivering process",
        "order": "each pass goes through the 1,000 mailboxes of a group, one message each",
        "again": "a round touches another group: with few mailboxes always the same, with many "
        "one whose files have not been open since their first message",
    }
    for population in populations:
        report.settings[population.service.name] = population.service.describe()
    try:
        _fill(bench, report, populations[-1])
        _touch_first(bench, report, populations)
        _touch_again(bench, report, populations)
    finally:
        for population in populations:
            population.service.stop()
    small, large = (population.service.name for population in populations)
    report.compare(FIRST, large, small)
    report.compare(AGAIN, large, small, SPEED_MIN)
    return report


def _populate(bench: Bench, groups: int) -> Population:
    count = groups * GROUP_MAILBOXES
    users = [
        f"{number}g{group}@{DOMAIN}"
        for group in range(groups)
        for number in range(1, GROUP_MAILBOXES + 1)
    ]
    with bench.step(f"making {count:,} accounts"):
        service = Staffetta(bench.workplace, users, Roles.ACCEPT, f"{count:,} mailboxes")
    return Population(service, groups)


def _fill(bench: Bench, report: Report, population: Population) -> None:
    """A first message to every mailbox but those of the last group, as far as time allows."""
    service = population.service
    service.restart(Roles.ALL)
    limit = time.monotonic() + FILL_LIMIT_S
    with bench.step(f"{service.name}: first messages", population.groups - 1) as advance:
        for group in range(population.groups - 1):
            _accept(population, group, 1)
            service.await_drained()
            population.touched.append(group)
            advance(1)
            if time.monotonic() > limit:
                break
    service.stop()
    filled = len(population.touched) * GROUP_MAILBOXES
    report.remarks.append(
        f"{service.name}: all exist; {filled:,} had had mail, and so a file, before the runs"
    )


def _touch_first(bench: Bench, report: Report, populations: list[Population]) -> None:
    for population in populations:
        last = population.groups - 1
        with bench.step(f"{population.service.name}: first messages"):
            population.service.restart(Roles.ACCEPT)
            _accept(population, last, 1)
            _record(bench, report, population, FIRST, 0, GROUP_MAILBOXES)
        population.touched.append(last)


def _touch_again(bench: Bench, report: Report, populations: list[Population]) -> None:
    with bench.step("delivering again", bench.runs * len(populations)) as advance:
        for number in range(bench.runs):
            for population in populations:
                population.service.restart(Roles.ACCEPT)
                _accept(population, population.choose_group(number), PASSES)
                _record(bench, report, population, AGAIN, number, PASSES * GROUP_MAILBOXES)
                advance(1)


def _accept(population: Population, group: int, passes: int) -> None:
    load = SmtpLoad(GROUP_MAILBOXES, f"g{group}@{DOMAIN}")
    for _ in range(passes):
        send(load, population.service.smtp)


def _record(
    bench: Bench, report: Report, population: Population, case: str, number: int, messages: int
) -> None:
    def run() -> Sample:
        population.service.restart(Roles.DELIVER)
        drained = population.service.watch_drain(messages)
        detail: dict[str, float | int | str] = {"messages": messages, "seconds": drained.seconds}
        return Sample(drained.rate, Unit.PER_SECOND, messages, detail)

    # Stopped first, so that all the processor time counted is of this run (its start included).
    population.service.stop()
    bench.record(report, population.service, case, number, run)
    population.service.stop()
