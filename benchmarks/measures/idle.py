"""Memory of idle IMAP connections: what one more client in IDLE costs, plain and with TLS."""

from __future__ import annotations

import resource
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks.bench import Bench, Sample
from benchmarks.loads.imap_reader import SMALL_CHUNK_BYTES, ImapReader
from benchmarks.machine import Memory, measure_memory, read_memory_available_bytes
from benchmarks.peers.dovecot import Dovecot, DovecotChoices
from benchmarks.peers.port import Door, PeerFault
from benchmarks.peers.postfix import DOMAIN
from benchmarks.report import Report, Unit
from benchmarks.staffetta_peer import Roles, Staffetta

NAME = "idle"
CONNECTIONS = 5000
MAILBOXES = 2000
OPENERS = 8
WARM_UP_CONNECTIONS = 40
SETTLE_S = 3.0
SETTLE_LIMIT_S = 60.0
STEADY_SHARE = 0.002
HIBERNATE_AFTER_S = 2
# One descriptor at the client, one at the server, and some for everything else.
DESCRIPTORS_SPARE = 200
# A Dovecot imap process costs about 0.6 MiB without hibernation, more while it starts.
DOVECOT_CONNECTION_BYTES = 1 << 20
MEMORY_SHARE_MAX = 0.6
PLAIN = "plain"
CASES = {PLAIN: 10 * 1024, "TLS": 40 * 1024}


@dataclass(frozen=True, slots=True)
class Contender:
    """A server to be filled with connections."""

    server: Dovecot | Staffetta
    connections: int
    settle_s: float


def measure(bench: Bench) -> Report:
    """Run it and return what was found."""
    report = bench.open_report(NAME)
    wanted = bench.choose(CONNECTIONS, 300)
    connections = _fit_descriptors(wanted)
    if connections < wanted:
        report.remarks.append(f"{connections} connections: the descriptor limit allows no more")
    users = [f"{number}u@{DOMAIN}" for number in range(1, min(MAILBOXES, connections) + 1)]
    report.settings["load"] = {
        "connections": str(connections),
        "mailboxes": str(len(users)),
        "each": "LOGIN, SELECT INBOX, IDLE",
        "memory": "sum of PSS of all processes of the server, before and after, by connection",
        "not counted": "socket buffers in the kernel (the same for all)",
    }
    for contender in _line_up(bench, report, users, connections):
        for case in CASES:
            # Started anew: memory that one case has freed must not be lent to the next.
            with bench.running(report, contender.server):
                _measure_case(bench, report, contender, users, case)
    for case, limit in CASES.items():
        report.limit(case, Roles.ALL.label, limit)
        for other in ("dovecot", "dovecot (hibernating)"):
            report.compare(case, Roles.ALL.label, other)
    return report


def _line_up(bench: Bench, report: Report, users: list[str], connections: int) -> list[Contender]:
    awake = min(
        connections,
        int(read_memory_available_bytes() * MEMORY_SHARE_MAX) // DOVECOT_CONNECTION_BYTES,
    )
    if awake < connections:
        report.remarks.append(f"dovecot without hibernation: {awake} connections fit in memory")
    contenders = [
        Contender(Dovecot(bench.workplace, users, DovecotChoices(mail_users=64)), awake, 0),
        Contender(
            Dovecot(
                bench.workplace,
                users,
                DovecotChoices(mail_users=64, hibernate_after_s=HIBERNATE_AFTER_S),
            ),
            connections,
            HIBERNATE_AFTER_S * 2,
        ),
    ]
    if bench.with_staffetta:
        staffetta = Staffetta(bench.workplace, users, Roles.ALL)
        contenders.append(Contender(staffetta, connections, 0))
    return contenders


def _measure_case(
    bench: Bench, report: Report, contender: Contender, users: list[str], case: str
) -> None:
    server = contender.server
    if case == PLAIN:
        opener = _Opener(server.imap, server.password, None)
    else:
        opener = _Opener(server.imaps, server.password, _trust_anyone())
    opener.open(users[:WARM_UP_CONNECTIONS], lambda _: None)
    opener.close()
    label = f"{server.name}: idle connections, {case}"
    with bench.step(label, contender.connections) as advance:
        run = _make_run(contender, users, opener, advance)
        bench.record(report, server, case, 0, run)


def _trust_anyone() -> ssl.SSLContext:
    tls = ssl.create_default_context()
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    return tls


def _make_run(
    contender: Contender, users: list[str], opener: _Opener, advance: Callable[[float], None]
) -> Callable[[], Sample]:
    count = contender.connections
    wanted = [users[number % len(users)] for number in range(count)]

    def run() -> Sample:
        before = _await_steady(contender.server, SETTLE_S)
        available = read_memory_available_bytes()
        started = time.perf_counter()
        opener.open(wanted, advance)
        opened_s = time.perf_counter() - started
        after = _await_steady(contender.server, SETTLE_S + contender.settle_s)
        opener.probe()
        taken = available - read_memory_available_bytes()
        opener.close()
        kept = _await_steady(contender.server, SETTLE_S)
        detail: dict[str, float | int | str] = {
            "connections": count,
            "opened_after_s": round(opened_s, 1),
            "processes_before": before.processes,
            "processes_after": after.processes,
            "pss_before_bytes": before.pss_bytes,
            "pss_after_bytes": after.pss_bytes,
            "private_bytes_per_connection": (after.private_bytes - before.private_bytes) // count,
            "machine_bytes_per_connection": taken // count,
            "pss_kept_after_closing_bytes": kept.pss_bytes,
        }
        per_connection = (after.pss_bytes - before.pss_bytes) / count
        return Sample(max(1.0, per_connection), Unit.BYTES, detail=detail)

    return run


def _await_steady(server: Dovecot | Staffetta, settle_s: float) -> Memory:
    """The server's memory once it no longer changes (or after a minute)."""
    limit = time.monotonic() + SETTLE_LIMIT_S
    time.sleep(settle_s)
    last = measure_memory(server.list_roots())
    while time.monotonic() < limit:
        time.sleep(settle_s)
        now = measure_memory(server.list_roots())
        change = abs(now.pss_bytes - last.pss_bytes)
        if change <= STEADY_SHARE * last.pss_bytes and now.processes == last.processes:
            return now
        last = now
    return last


class _Opener:
    """Many connections, opened by a few threads."""

    def __init__(self, door: Door, password: str, tls: ssl.SSLContext | None) -> None:
        self._door = door
        self._password = password
        self._tls = tls
        self._readers: list[ImapReader] = []

    def open(self, users: list[str], advance: Callable[[float], None]) -> None:
        """One connection for each user named, brought into IDLE."""

        def open_one(user: str) -> ImapReader:
            reader = ImapReader(self._door, self._tls, SMALL_CHUNK_BYTES)
            reader.log_in(user, self._password)
            reader.ask(b"SELECT INBOX")
            reader.enter_idle()
            advance(1)
            return reader

        with ThreadPoolExecutor(OPENERS) as pool:
            self._readers.extend(pool.map(open_one, users))

    def probe(self) -> None:
        """Leave IDLE on one connection in a hundred: it must still be served."""
        for reader in self._readers[::100]:
            reader.leave_idle()
            reader.ask(b"NOOP")

    def close(self) -> None:
        """Close them all."""
        for reader in self._readers:
            reader.close()
        self._readers.clear()


def _fit_descriptors(wanted: int) -> int:
    """As many connections as this process may hold descriptors for; the limit is raised first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted + DESCRIPTORS_SPARE:
        raised = hard if hard == resource.RLIM_INFINITY else min(hard, wanted + DESCRIPTORS_SPARE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft = raised
    fitting = wanted if soft == resource.RLIM_INFINITY else min(wanted, soft - DESCRIPTORS_SPARE)
    if fitting <= 0:
        raise PeerFault(f"the descriptor limit of {soft} leaves no room for connections")
    return fitting
