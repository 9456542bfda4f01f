"""`python -m drills.cells`: break a cell in every way, under load, and mend it again.

For each mode: nobody is refused, the 250 is not slower, healthy cells do not notice, IMAP says
UNAVAILABLE on the broken one, sign-in works, the emergency inbox has the mail, and after mending
every message is in its mailbox exactly once.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import imaplib
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from drills.load import Found, Senders, judge, read_mailbox
from drills.reporting import Assertion, report
from drills.service import PASSWORD, Account, DrillService

MODES = ("hang", "error", "full", "readonly", "corrupt", "gone")
# What really happens to disks, beside the faults made in the process.
REAL = ("directory-away", "disk-full", "garbage")
MAILBOXES = 40
BROKEN_CELL = "c2"
EMERGENCY_WITHIN_S = 60.0
SETTINGS = "[delivery]\nheld_retry_s = 2.0\n"


@dataclass(slots=True)
class Observed:
    """What was seen while the cell was broken."""

    healthy_p99_s: float = 0.0
    broken_p99_s: float = 0.0
    refused: int = 0
    unavailable: int = 0
    wrong_answers: list[str] = field(default_factory=list)
    healthy_cell_reads: int = 0
    emergency_s: float | None = None
    recovered_same_connection: bool = False
    mended_s: float = 0.0


@contextmanager
def broken(service: DrillService, mode: str) -> Iterator[None]:
    """The cell is broken within the block."""
    if mode in MODES:
        service.break_cell(BROKEN_CELL, mode)
        try:
            yield
        finally:
            service.mend_cell(BROKEN_CELL)
        return
    with _REAL_FAULTS[mode](service.data / "cells" / BROKEN_CELL):
        yield


@contextmanager
def _directory_away(cell: Path) -> Iterator[None]:
    away = cell.with_name("away")
    cell.rename(away)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            cell.rmdir()
        away.rename(cell)


@contextmanager
def _disk_full(cell: Path) -> Iterator[None]:
    """The cell lies on a small file system of its own (see `mounted`): fill it."""
    filler = cell / "filler"
    with filler.open("wb") as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 65_536)
            file.flush()
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def _garbage(cell: Path) -> Iterator[None]:
    """Mailbox files are overwritten in place; nobody undoes that."""
    for path in sorted(cell.glob("??/*.mbx"))[:2]:
        size_bytes = path.stat().st_size
        with path.open("r+b") as file:
            file.write(b"\x5a" * min(size_bytes, 65_536))
    yield


_REAL_FAULTS: dict[str, Callable[[Path], contextlib.AbstractContextManager[None]]] = {
    "directory-away": _directory_away,
    "disk-full": _disk_full,
    "garbage": _garbage,
}


@contextmanager
def mounted(path: Path, size: str) -> Iterator[bool]:
    """A small file system at that path; False where the machine does not allow it."""
    path.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", "-l", str(path)], check=False)


def try_mailbox(service: DrillService, account: Account) -> tuple[str, str]:
    """Sign in and select: ("ok" | "unavailable" | "wrong", what was said)."""
    client = imaplib.IMAP4("127.0.0.1", service.imap_port, timeout=30)
    try:
        client.login(account.address, PASSWORD)
        kind, said = client.select("INBOX")
    except imaplib.IMAP4.error as error:
        return "wrong", f"sign-in: {error}"
    finally:
        with contextlib.suppress(OSError, imaplib.IMAP4.error):
            client.logout()
    text = str(said[0])
    if kind == "OK":
        return "ok", text
    return ("unavailable" if "[UNAVAILABLE]" in text else "wrong"), text


def await_emergency(service: DrillService, address: str, receipt: str) -> float | None:
    """Seconds until the emergency inbox shows that message; None when it does not."""
    began_s = time.monotonic()
    while time.monotonic() - began_s < EMERGENCY_WITHIN_S:
        answer = service.ask("emergency", address)
        if any(one["receipt"] == receipt for one in answer["messages"]):
            return time.monotonic() - began_s
        time.sleep(0.5)
    return None


async def observe(
    service: DrillService, accounts: list[Account], senders: Senders, mode: str, span_s: float
) -> Observed:
    """Healthy for a while, broken for a while, mended; the senders never stop."""
    seen = Observed()
    sending = asyncio.create_task(senders.run())
    await asyncio.sleep(span_s)
    broken_at_s = time.monotonic()
    seen.healthy_p99_s = senders.tally.percentile_s(0.99, 0, broken_at_s)
    here = [one for one in accounts if one.cell == BROKEN_CELL]
    elsewhere = [one for one in accounts if one.cell != BROKEN_CELL]
    lasting = await asyncio.to_thread(_sign_in, service, here[0].address)

    def while_broken() -> None:
        with broken(service, mode):
            time.sleep(span_s)
            for account in here[:3]:
                _note(seen, *try_mailbox(service, account), account.address)
            seen.healthy_cell_reads = sum(
                try_mailbox(service, account)[0] == "ok" for account in elsewhere[:6]
            )
            own = [s for s in senders.tally.accepted() if here[0].address in s.recipients]
            if own:
                seen.emergency_s = await_emergency(service, here[0].address, own[-1].receipt)
            seen.broken_p99_s = senders.tally.percentile_s(0.99, broken_at_s + 0.5)

    await asyncio.to_thread(while_broken)
    mended_at_s = time.monotonic()
    seen.recovered_same_connection = await asyncio.to_thread(_recovers, lasting)
    seen.mended_s = time.monotonic() - mended_at_s
    await asyncio.sleep(1.0)
    senders.stop()
    await sending
    seen.refused = len(senders.tally.refused())
    return seen


def _sign_in(service: DrillService, address: str) -> imaplib.IMAP4:
    client = imaplib.IMAP4("127.0.0.1", service.imap_port, timeout=60)
    client.login(address, PASSWORD)
    return client


def _recovers(client: imaplib.IMAP4) -> bool:
    """Does a connection that was there before the fault work again? Within half a minute."""
    try:
        for _ in range(30):
            if client.select("INBOX")[0] == "OK":
                client.logout()
                return True
            time.sleep(1.0)
    except (OSError, imaplib.IMAP4.error):
        return False
    return False


def _note(seen: Observed, kind: str, text: str, address: str) -> None:
    if kind == "unavailable":
        seen.unavailable += 1
    elif kind == "wrong":
        seen.wrong_answers.append(f"{address}: {text}")


def run_mode(
    data: Path, port_base: int, mode: str, span_s: float, seed: int
) -> tuple[list[Assertion], dict[str, Any]]:
    """One mode on a service of its own."""
    service = DrillService(data / mode, port_base, SETTINGS)
    service.set_up()
    cell = service.data / "cells" / BROKEN_CELL
    with contextlib.ExitStack() as stack:
        if mode == "disk-full":
            kept = {path.name: path.read_bytes() for path in cell.iterdir() if path.is_file()}
            if not stack.enter_context(mounted(cell, "48m")):
                return [], {"left out": "no file system could be mounted here"}
            for name, content in kept.items():
                (cell / name).write_bytes(content)
        accounts = service.add_accounts(MAILBOXES)
        stack.enter_context(service)
        senders = Senders(service.smtp_port, accounts, seed, sessions=4, pause_s=0.01)
        seen = asyncio.run(observe(service, accounts, senders, mode, span_s))
        caught_up_s = service.wait_delivered(120.0)
        _await_held(service, 120.0)
        found = Found()
        for account in accounts:
            read_mailbox(service.imap_port, account.address, found)
        sums = service.ask("sums", "--since", "1d")
    verdict = judge(senders.tally, found)
    return _assertions(mode, seen, asdict(verdict), sums), {
        **asdict(verdict),
        **asdict(seen),
        "caught_up_s": round(caught_up_s, 1),
    }


def _await_held(service: DrillService, timeout_s: float) -> None:
    until_s = time.monotonic() + timeout_s
    while time.monotonic() < until_s:
        if service.ask("sums", "--since", "1d")["log"]["held"] == 0:
            return
        time.sleep(1.0)


def _assertions(
    mode: str, seen: Observed, verdict: dict[str, int], sums: dict[str, Any]
) -> list[Assertion]:
    ratio = seen.broken_p99_s / seen.healthy_p99_s if seen.healthy_p99_s else 0.0
    # A full or read-only cell can still be read, and garbage concerns single mailboxes.
    readable = mode in ("full", "readonly", "disk-full", "garbage")
    said = seen.unavailable if not readable else 3
    return [
        Assertion(f"{mode}-refused", f"{mode}: nobody refused", seen.refused == 0, seen.refused),
        Assertion(f"{mode}-p99", f"{mode}: p99 ≤ 2 × healthy", ratio <= 2.0, round(ratio, 2)),
        Assertion(f"{mode}-imap", f"{mode}: IMAP says UNAVAILABLE", said == 3, seen.unavailable),
        Assertion(
            f"{mode}-truth", f"{mode}: no wrong answer", not seen.wrong_answers, seen.wrong_answers
        ),
        Assertion(
            f"{mode}-others",
            f"{mode}: healthy cells unaffected",
            seen.healthy_cell_reads == 6,
            seen.healthy_cell_reads,
        ),
        Assertion(
            f"{mode}-emergency",
            f"{mode}: emergency inbox within {EMERGENCY_WITHIN_S:g} s",
            seen.emergency_s is not None,
            seen.emergency_s,
        ),
        Assertion(
            f"{mode}-same-connection",
            f"{mode}: a connection from before works again",
            seen.recovered_same_connection,
            round(seen.mended_s, 1),
        ),
        Assertion(f"{mode}-lost", f"{mode}: lost 0", verdict["lost"] == 0, verdict["lost"]),
        Assertion(f"{mode}-twice", f"{mode}: twice 0", verdict["twice"] == 0, verdict["twice"]),
        Assertion(f"{mode}-bytes", f"{mode}: same bytes", verdict["changed_bytes"] == 0, verdict),
        Assertion(f"{mode}-uids", f"{mode}: UIDs only grow", verdict["uid_problems"] == 0, None),
        Assertion(f"{mode}-sums", f"{mode}: the sums agree", bool(sums["agree"]), sums["log"]),
    ]


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modes", nargs="*", default=[*MODES, *REAL])
    parser.add_argument("--data", type=Path, default=Path("var/drill-cells"))
    parser.add_argument("--port-base", type=int, default=32_000)
    parser.add_argument("--span", type=float, default=4.0, help="seconds healthy, and broken")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    assertions: list[Assertion] = []
    figures: dict[str, Any] = {}
    for number, mode in enumerate(given.modes):
        more, figures[mode] = run_mode(
            given.data, given.port_base, mode, given.span, given.seed + number
        )
        assertions += more
    return report("cells", assertions, figures, given.output)


if __name__ == "__main__":
    raise SystemExit(main())
