"""`python -m drills.disk`: faults of the log's disk, made by strace and by a small file system.

- killed at the N-th sync, for many N: what was answered 250 before is there;
- EIO on a sync: the process stops accepting and says so, and never tries again as if nothing had
  happened; what was answered 250 is there;
- ENOSPC on a write, and a log disk that fills up: 452 4.3.1, and it goes on by itself;
- under a library that leaves syncs out, the count of syncs shows that the check can fail.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from drills.cells import mounted
from drills.load import Found, Senders, Verdict, judge, read_mailbox
from drills.reporting import Assertion, report
from drills.service import READY_TIMEOUT_S, Account, CommandFailed, DrillService

MAILBOXES = 12
SYNCS = "fsync,fdatasync"
SMALL_DISK = "[log]\nfree_bytes_min = 2097152\nfree_bytes_alarm = 12582912\n"
KILL_AT = (1, 2, 3, 5, 8, 13, 21, 40)


def traced(*injections: str) -> list[str]:
    """The prefix that runs a command under strace with these faults."""
    rules = [part for rule in injections for part in ("-e", f"inject={rule}")]
    return ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={SYNCS},pwrite64", *rules]


async def send_for(senders: Senders, span_s: float) -> None:
    """Send for a while."""
    sending = asyncio.create_task(senders.run())
    await asyncio.sleep(span_s)
    senders.stop()
    await sending


def verify(service: DrillService, accounts: list[Account], senders: Senders) -> Verdict:
    """Run the whole service without faults; look for everything that was answered 250."""
    service.prefix, service.roles, service.ready_timeout_s = (), "", READY_TIMEOUT_S
    found = Found()
    with service:
        service.wait_delivered(120.0)
        for account in accounts:
            read_mailbox(service.imap_port, account.address, found)
    return judge(senders.tally, found)


def prepare(data: Path, port_base: int, settings: str = "") -> tuple[DrillService, list[Account]]:
    """A service with some mailboxes, not running, whose accept role will run alone."""
    service = DrillService(data, port_base, settings, roles="accept")
    service.set_up()
    return service, service.add_accounts(MAILBOXES)


def kill_at_sync(
    data: Path, port_base: int, when: int, span_s: float
) -> tuple[list[Assertion], dict[str, Any]]:
    """The accepting process dies as it enters its N-th sync, again and again."""
    service, accounts = prepare(data, port_base)
    service.prefix = traced(f"{SYNCS}:signal=SIGKILL:when={when}")
    service.ready_timeout_s = 3.0
    senders = Senders(service.smtp_port, accounts, when, sessions=4)
    with contextlib.suppress(TimeoutError):  # it may never be seen ready between two deaths
        service.start()
    asyncio.run(send_for(senders, span_s))
    restarts = _restarts(service)
    service.stop()
    verdict = verify(service, accounts, senders)
    name = f"sync-{when}"
    return [
        Assertion(f"{name}-died", f"killed at sync {when}", restarts > 0, restarts),
        Assertion(
            f"{name}-kept",
            f"killed at sync {when}: lost 0, twice 0",
            verdict.lost == 0 and verdict.twice == 0,
            (verdict.accepted_messages, verdict.lost, verdict.twice),
        ),
    ], {name: asdict(verdict)}


def _restarts(service: DrillService) -> int:
    with contextlib.suppress(CommandFailed):
        return sum(int(process["restarts"]) for process in service.status()["processes"])
    return 0


def failed_sync(data: Path, port_base: int) -> tuple[list[Assertion], dict[str, Any]]:
    """From the 30th sync on, all fail with EIO."""
    service, accounts = prepare(data, port_base)
    service.prefix = traced(f"{SYNCS}:error=EIO:when=30+")
    senders = Senders(service.smtp_port, accounts, 501, sessions=4, pause_s=0.01)
    service.start()
    asyncio.run(send_for(senders, 4.0))
    processes = service.status()["processes"]
    detail = " ".join(str(process["detail"]) for process in processes)
    after = [one.refusal for one in senders.tally.sent[-5:]]
    service.stop()
    verdict = verify(service, accounts, senders)
    said = all(text.startswith("451 4.3.0") for text in after)
    return [
        Assertion("eio-stops", "failed sync: 451 4.3.0 to everybody after it", said, after),
        Assertion("eio-says", "failed sync: the status says so", "log" in detail, detail),
        Assertion("eio-kept", "failed sync: lost 0", verdict.lost == 0, asdict(verdict)),
    ], {"failed-sync": asdict(verdict), "answers": _answers(senders)}


def no_space_on_write(data: Path, port_base: int) -> tuple[list[Assertion], dict[str, Any]]:
    """Some writes fail with ENOSPC, then there is room again."""
    service, accounts = prepare(data, port_base)
    service.prefix = traced("pwrite64:error=ENOSPC:when=200..400")
    senders = Senders(service.smtp_port, accounts, 502, sessions=4)
    service.start()
    asyncio.run(send_for(senders, 5.0))
    restarts = _restarts(service)
    service.stop()
    answers = _answers(senders)
    recovered = bool(senders.tally.sent[-1].receipt)
    verdict = verify(service, accounts, senders)
    return [
        Assertion("enospc-said", "ENOSPC: 452 4.3.1", answers["452 4.3.1"] > 0, dict(answers)),
        Assertion("enospc-on", "ENOSPC: goes on by itself", recovered, restarts),
        Assertion(
            "enospc-kept",
            "ENOSPC: lost 0, twice 0",
            verdict.lost == 0 and verdict.twice == 0,
            asdict(verdict),
        ),
    ], {"no-space": asdict(verdict), "no-space-answers": dict(answers)}


def _answers(senders: Senders) -> Counter[str]:
    answers: Counter[str] = Counter()
    for one in senders.tally.sent:
        answers[" ".join(one.refusal.split()[:2]) if one.refusal else "250"] += 1
    return answers


def small_log_disk(data: Path, port_base: int) -> tuple[list[Assertion], dict[str, Any]]:
    """The log's file system is filled by somebody else, and emptied again."""
    service, accounts = prepare(data, port_base, SMALL_DISK)
    log = service.data / "log"
    with contextlib.ExitStack() as stack:
        if not stack.enter_context(mounted(log, "32m")):
            return [], {"log-disk": "left out: no file system could be mounted here"}
        stack.enter_context(service)
        senders = Senders(service.smtp_port, accounts, 503, sessions=2, pause_s=0.02)
        asyncio.run(_fill_and_empty(senders, log / "filler"))
        answers = _answers(senders)
        recovered = bool(senders.tally.sent[-1].receipt)
        alarmed = "log-room-low" in (service.data / "service.log").read_text()
        restarts = _restarts(service)
        service.stop()
        kept = service.data / "log-kept"
        shutil.copytree(log, kept, ignore=shutil.ignore_patterns("filler"))
    shutil.rmtree(log, ignore_errors=True)
    kept.rename(log)
    verdict = verify(service, accounts, senders)
    return [
        Assertion("disk-said", "full log disk: 452 4.3.1", answers["452 4.3.1"] > 0, dict(answers)),
        Assertion("disk-alarm", "full log disk: the alarm came first", alarmed, alarmed),
        Assertion(
            "disk-on",
            "full log disk: goes on without restart",
            recovered and restarts == 0,
            restarts,
        ),
        Assertion(
            "disk-kept",
            "full log disk: lost 0, twice 0",
            verdict.lost == 0 and verdict.twice == 0,
            asdict(verdict),
        ),
    ], {"log-disk": asdict(verdict)}


async def _fill_and_empty(senders: Senders, filler: Path) -> None:
    sending = asyncio.create_task(senders.run())
    await asyncio.sleep(2.0)
    await asyncio.to_thread(_fill, filler)
    await asyncio.sleep(2.5)
    await asyncio.to_thread(filler.unlink)
    await asyncio.sleep(3.0)
    senders.stop()
    await sending


def _fill(filler: Path) -> None:
    with contextlib.suppress(OSError):
        filler.write_bytes(b"\0" * 64 * 1024 * 1024)


def count_syncs(data: Path, port_base: int, *, without_syncs: bool) -> int:
    """Syncs while messages are accepted; `without_syncs`: under a library that drops them."""
    service, accounts = prepare(data, port_base)
    counts = service.data / "syncs.txt"
    library = ["eatmydata"] if without_syncs else []
    service.prefix = ["strace", "-f", "-qq", "-o", str(counts), "-e", f"trace={SYNCS}", *library]
    senders = Senders(service.smtp_port, accounts, 504, sessions=2)
    with service:
        before = len(_sync_lines(counts))
        asyncio.run(send_for(senders, 1.5))
        return len(_sync_lines(counts)) - before if senders.tally.accepted() else -1


def _sync_lines(path: Path) -> list[str]:
    return re.findall(r"^\d+ +f(?:data)?sync\(", path.read_text(), re.MULTILINE)


def syncs_count(data: Path, port_base: int) -> tuple[list[Assertion], dict[str, Any]]:
    """The proof that these checks look at real syncs."""
    real = count_syncs(data / "real", port_base, without_syncs=False)
    none = count_syncs(data / "none", port_base, without_syncs=True)
    return [
        Assertion("syncs", "messages are synced before their 250", real > 0, real),
        Assertion("no-syncs", "the same check fails where syncs are left out", none == 0, none),
    ], {"syncs": real, "syncs_under_eatmydata": none}


def run_all(data: Path, port_base: int, quick: bool) -> Iterator[tuple[list[Assertion], Any]]:
    """Every part, one after the other."""
    for when in KILL_AT[::3] if quick else KILL_AT:
        yield kill_at_sync(data / f"sync-{when}", port_base, when, 3.0)
    yield failed_sync(data / "eio", port_base)
    yield no_space_on_write(data / "enospc", port_base)
    yield small_log_disk(data / "small", port_base)
    if shutil.which("eatmydata"):
        yield syncs_count(data / "syncs", port_base)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("var/drill-disk"))
    parser.add_argument("--port-base", type=int, default=34_000)
    parser.add_argument("--quick", action="store_true", help="fewer places to die")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    if not shutil.which("strace"):
        print("strace is not here: install it, or leave this drill out")
        return 2
    assertions: list[Assertion] = []
    figures: dict[str, Any] = {}
    began_s = time.monotonic()
    for more, measured in run_all(given.data, given.port_base, given.quick):
        assertions += more
        figures |= measured
    figures["duration_s"] = round(time.monotonic() - began_s, 1)
    return report("disk", assertions, figures, given.output)


if __name__ == "__main__":
    raise SystemExit(main())
