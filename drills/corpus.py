"""`python -m drills.corpus FOLDER`: mail goes in by SMTP and comes out by IMAP, byte for byte.

Ordinary mail is sent with its line ends normalised; the folder `hostile` is sent as it is: each of
its messages is refused by a stated rule, or comes back with equal bytes.
"""

from __future__ import annotations

import argparse
import imaplib
import json
import re
import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drills.reporting import Assertion, report
from drills.service import PASSWORD, DrillService
from staffetta.formats.eml import normalise_line_ends

TRACE = re.compile(rb"Return-Path: <[^\r\n]*>\r\nReceived: [^\r\n]*\r\n(?:\t[^\r\n]*\r\n)*")
RECEIPT = re.compile(rb" id ([0-9A-Z]{16})[;\r]")
LONE_CR = re.compile(rb"\r(?!\n)")
STATED_RULES = {
    "550 5.6.11": "bare CR or LF",
    "550 5.6.0": "NUL, or a line too long",
    "552 5.3.4": "size",
    "554 5.4.6": "hops",
}
NOT_MAIL = {".json", ".xml", ".jsonl", ".md", ".yml", ".yaml", ".ics", ".py", ".html"}
MAIL_FOLDERS = ("real", "mime", "italian-synthetic")
EACH_S = 2.0
SLOW_S = 10.0
RSS_GROWTH_MIB_MAX = 600
SETTINGS = "[smtp.limits]\nerrors_max = 100000\nmessage_size_bytes_max = 104857600\n"


@dataclass(slots=True)
class Trial:
    """One message: what was sent, what was said, what came back."""

    name: str
    content: bytes
    reply: str = ""
    receipt: str = ""
    seconds: float = 0.0
    equal: bool | None = None


@dataclass(slots=True)
class Result:
    """The counts of one group of files."""

    sent: int = 0
    accepted: int = 0
    equal: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)


class SmtpClient:
    """One connection that sends octets as they are; only dots are stuffed."""

    def __init__(self, port: int, recipient: str) -> None:
        self._port = port
        self._recipient = recipient
        self._socket: socket.socket | None = None
        self._received = b""

    def send(self, content: bytes) -> str:
        """The server's last word about the message."""
        try:
            if self._socket is None:
                self._connect()
            for command in (
                b"MAIL FROM:<corpus@elsewhere.example> BODY=8BITMIME",
                b"RCPT TO:<" + self._recipient.encode() + b">",
                b"DATA",
            ):
                reply = self._ask(command + b"\r\n")
                if reply[0] not in "23":
                    self.close()
                    return reply
            reply = self._ask(_stuffed(content))
        except (OSError, EOFError) as error:
            self.close()
            return f"closed: {error}"
        if reply[0] != "2":
            self.close()
        return reply

    def close(self) -> None:
        """End the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self._received = b""

    def _connect(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=30)
        self._ask(b"")
        self._ask(b"EHLO corpus.example\r\n")

    def _ask(self, octets: bytes) -> str:
        assert self._socket is not None
        if octets:
            self._socket.sendall(octets)
        while True:
            line, found, rest = self._received.partition(b"\r\n")
            if not found:
                more = self._socket.recv(65_536)
                if not more:
                    raise EOFError("no reply")
                self._received += more
                continue
            self._received = rest
            if line[3:4] != b"-":
                return line.decode("ascii", "replace")


def _stuffed(content: bytes) -> bytes:
    """RFC 5321 section 4.5.2; a message without a last line end gets one."""
    if not content.endswith(b"\r\n"):
        content += b"\r\n"
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    return (b"." if stuffed.startswith(b".") else b"") + stuffed + b".\r\n"


def _with_line_ends(content: bytes) -> bytes:
    """Every line end as SMTP wants it: also those of old systems, a CR alone."""
    return normalise_line_ends(LONE_CR.sub(b"\r\n", content))


def find_mail(folder: Path) -> Iterator[Path]:
    """All files that are messages, in a fixed order."""
    roots = [folder / name for name in MAIL_FOLDERS if (folder / name).is_dir()] or [folder]
    for root in roots:
        for path in sorted(root.rglob("*")):
            mail = path.is_file() and path.suffix not in NOT_MAIL and "README" not in path.name
            if mail and path.stat().st_size:
                yield path


def put_in(service: DrillService, recipient: str, trials: Iterable[Trial]) -> list[Trial]:
    """Send each; note the reply."""
    client = SmtpClient(service.smtp_port, recipient)
    done = []
    for trial in trials:
        began_s = time.monotonic()
        trial.reply = client.send(trial.content)
        trial.seconds = time.monotonic() - began_s
        if trial.reply.startswith("250"):
            trial.receipt = trial.reply.split()[2]
        done.append(trial)
    client.close()
    return done


def take_out(service: DrillService, address: str, trials: list[Trial]) -> None:
    """Fetch each message whole and compare."""
    wanted = {trial.receipt: trial for trial in trials if trial.receipt}
    client = imaplib.IMAP4("127.0.0.1", service.imap_port, timeout=120)
    client.login(address, PASSWORD)
    _, counted = client.select("INBOX", readonly=True)
    for number in range(1, int(counted[0] or b"0") + 1):
        began_s = time.monotonic()
        _, rows = client.fetch(str(number), "(ENVELOPE BODYSTRUCTURE BODY.PEEK[])")
        literals = [row for row in rows if isinstance(row, tuple)]
        content = literals[-1][1]
        trace = TRACE.match(content)
        receipt = RECEIPT.search(trace[0]) if trace else None
        trial = wanted.get(receipt[1].decode()) if receipt else None
        if trial is None:
            continue
        sent = trial.content if trial.content.endswith(b"\r\n") else trial.content + b"\r\n"
        trial.equal = content.endswith(sent) and len(content) - len(sent) == _trace_bytes(content)
        trial.seconds += time.monotonic() - began_s
    client.logout()


def _trace_bytes(content: bytes) -> int:
    """Length of our own trace header; what follows may begin with white space of its own."""
    end = content.index(b";\r\n\t") + len(b";\r\n\t")
    return content.index(b"\r\n", end) + 2


def judge(trials: list[Trial], slow_s: dict[str, float]) -> Result:
    """Count a group."""
    result = Result()
    for trial in trials:
        result.sent += 1
        if trial.receipt:
            result.accepted += 1
            result.equal += bool(trial.equal)
            if not trial.equal:
                result.wrong.append(f"{trial.name}: {trial.equal}")
        else:
            rule = next((r for r in STATED_RULES if trial.reply.startswith(r)), "")
            result.refused[STATED_RULES.get(rule, trial.reply)] += 1
            if not rule:
                result.wrong.append(f"{trial.name}: {trial.reply}")
        if trial.seconds > slow_s.get(trial.name, EACH_S):
            result.slow.append(f"{trial.name}: {trial.seconds:.1f} s")
    return result


def read_hostile(folder: Path) -> tuple[list[Trial], dict[str, float]]:
    """The hostile messages as they are, and which of them may take longer."""
    trials = [Trial(path.name, path.read_bytes()) for path in sorted(folder.glob("*.eml"))]
    manifest = folder / "manifest.json"
    slow: dict[str, float] = {}
    if manifest.is_file():
        for entry in json.loads(manifest.read_text()):
            slow[str(entry["file"])] = min(max(float(entry.get("parse_s", 0)), EACH_S), SLOW_S)
    return trials, slow


def _rss_mib(service: DrillService) -> int:
    total = 0
    for process in service.status()["processes"]:
        status = Path(f"/proc/{process['pid']}/status").read_text()
        total += int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) // 1024
    return total


def run(folder: Path, data: Path, port_base: int, output: Path | None) -> int:
    """The whole drill; returns the exit status."""
    service = DrillService(data, port_base, SETTINGS)
    service.set_up()
    service.run("account", "add", "posta@libero.example", "--plan", "plus", "--password", PASSWORD)
    service.run(
        "account", "add", "ostile@virgilio.example", "--plan", "plus", "--password", PASSWORD
    )
    with service:
        ordinary = put_in(
            service,
            "posta@libero.example",
            (
                Trial(str(p.relative_to(folder)), _with_line_ends(p.read_bytes()))
                for p in find_mail(folder)
            ),
        )
        hostile, slow_s = read_hostile(folder / "hostile")
        before_mib = _rss_mib(service)
        put_in(service, "ostile@virgilio.example", hostile)
        service.wait_delivered(120)
        take_out(service, "posta@libero.example", ordinary)
        take_out(service, "ostile@virgilio.example", hostile)
        growth_mib = _rss_mib(service) - before_mib
        processes = service.status()["processes"]
    restarts = sum(int(process["restarts"]) for process in processes)
    return _report(judge(ordinary, {}), judge(hostile, slow_s), restarts, growth_mib, output)


def _report(
    mail: Result, hostile: Result, restarts: int, growth_mib: int, output: Path | None
) -> int:
    figures: dict[str, Any] = {
        "ordinary": f"{mail.equal} of {mail.sent} equal; refused {dict(mail.refused)}",
        "ordinary_wrong": mail.wrong[:20],
        "hostile": f"{hostile.equal} of {hostile.sent} equal; refused {dict(hostile.refused)}",
        "hostile_wrong": hostile.wrong[:20],
        "hostile_slow": hostile.slow,
        "memory_growth_mib": growth_mib,
    }
    stated = sum(mail.refused.values()) + mail.equal == mail.sent and not mail.wrong
    answered = hostile.sent == hostile.equal + sum(hostile.refused.values()) and not hostile.wrong
    assertions = [
        Assertion("ordinary", "ordinary mail comes back equal", stated, figures["ordinary"]),
        Assertion(
            "hostile", "hostile mail: refused by rule, or equal", answered, figures["hostile"]
        ),
        Assertion("crash", "no process died", restarts == 0, restarts),
        Assertion("slow", "each in its time", not hostile.slow, hostile.slow),
        Assertion(
            "memory",
            f"memory grows at most {RSS_GROWTH_MIB_MAX} MiB",
            growth_mib <= RSS_GROWTH_MIB_MAX,
            growth_mib,
        ),
    ]
    return report("corpus", assertions, figures, output)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, default=Path("var/drill-corpus"))
    parser.add_argument("--port-base", type=int, default=33_000)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    return run(given.folder, given.data, given.port_base, given.output)


if __name__ == "__main__":
    raise SystemExit(main())
