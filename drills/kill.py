"""`python -m drills.kill`: SIGKILL for processes that accept and deliver, again and again, under
load; then every message that was answered 250 is looked for in its mailboxes."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import signal
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from rich.progress import Progress

from drills.load import Found, Senders, judge, read_mailbox
from drills.reporting import Assertion, report
from drills.service import DrillService

MAILBOXES = 60
QUICK_HELD_RETRY = "[delivery]\nheld_retry_s = 2.0\n"


async def kill_under_load(
    service: DrillService, senders: Senders, kills: int, seed: int
) -> Counter[str]:
    """Kill a random process every now and then while the senders send."""
    chance = random.Random(seed)
    killed: Counter[str] = Counter()
    sending = asyncio.create_task(senders.run())
    with Progress(transient=True) as progress:
        task = progress.add_task("kills", total=kills)
        while sum(killed.values()) < kills:
            await asyncio.sleep(chance.uniform(0.05, 0.6))
            role = chance.choice(("accept", "deliver"))
            with contextlib.suppress(Exception):  # the service may be between two processes
                pids = await asyncio.to_thread(service.pids, role)
                os.kill(chance.choice(pids), signal.SIGKILL)
                killed[role] += 1
                progress.update(task, completed=sum(killed.values()))
    await asyncio.sleep(1.0)
    senders.stop()
    await sending
    return killed


def run(data: Path, port_base: int, kills: int, seed: int, output: Path | None) -> int:
    """The whole drill; returns the exit status."""
    service = DrillService(data, port_base, QUICK_HELD_RETRY)
    service.set_up()
    accounts = service.add_accounts(MAILBOXES)
    began_s = time.monotonic()
    with service:
        senders = Senders(service.smtp_port, accounts, seed)
        killed = asyncio.run(kill_under_load(service, senders, kills, seed))
        service.wait_ready()
        caught_up_s = service.wait_delivered(300.0)
        found = Found()
        for account in accounts:
            read_mailbox(service.imap_port, account.address, found)
        sums = service.ask("sums", "--since", "1d")
        verified = service.ask("log", "verify")
    verdict = judge(senders.tally, found)
    damage = sum(len(one["damage"]) for one in verified["partitions"])
    assertions = [
        Assertion("kills", f"at least {kills} kills", sum(killed.values()) >= kills, dict(killed)),
        Assertion("lost", "no message answered 250 is missing", verdict.lost == 0, verdict.lost),
        Assertion("twice", "none is in a mailbox twice", verdict.twice == 0, verdict.twice),
        Assertion("bytes", "same bytes", verdict.changed_bytes == 0, verdict.changed_bytes),
        Assertion("uids", "UIDs only grow", verdict.uid_problems == 0, verdict.uid_problems),
        Assertion("sums", "the sums agree", bool(sums["agree"]), sums["log"]),
        Assertion("log", "the log is sound", damage == 0, damage),
    ]
    figures = {
        **asdict(verdict),
        "cut_connections": senders.tally.cut,
        "caught_up_s": round(caught_up_s, 1),
        "duration_s": round(time.monotonic() - began_s, 1),
        "seed": seed,
    }
    return report("kill", assertions, figures, output)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("var/drill-kill"))
    parser.add_argument("--port-base", type=int, default=31_000)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    return run(given.data, given.port_base, given.kills, given.seed, given.output)


if __name__ == "__main__":
    raise SystemExit(main())
