"""Postfix from a private configuration: own queue, high ports, no chroot, nothing of the system's.

Every choice that costs nothing of its durability is made in favour of Postfix: no client limits,
no name lookups, no in-flow delay, no address rewriting beyond the default, logs to ``/dev/null``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from benchmarks.machine import descend
from benchmarks.peers.port import Door, PeerFault
from benchmarks.peers.processes import LOOPBACK, Workplace, await_door, end_processes

COMMAND_TIMEOUT_S = 60
QUEUES_WAITING = ("maildrop", "incoming", "active", "deferred")
DOMAIN = "bench.example"

MASTER = """\
{listen} inet n - n - {processes} smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Fate(Enum):
    """What becomes of a message once Postfix has accepted it."""

    HOLD = "hold"
    DISCARD = "discard"
    DELIVER = "deliver"


@dataclass(frozen=True, slots=True)
class PostfixLimits:
    """How many processes of each kind Postfix may use."""

    processes: int = 100
    lmtp_concurrency: int = 20


class Postfix:
    """One instance of Postfix with its own queue."""

    def __init__(
        self,
        workplace: Workplace,
        fate: Fate,
        recipients: list[str],
        lmtp: Door | None = None,
        limits: PostfixLimits | None = None,
    ) -> None:
        self.name = f"postfix ({fate.value})"
        self.smtp = workplace.find_door()
        self._fate = fate
        self._lmtp = lmtp
        self._limits = limits or PostfixLimits()
        self._directory = workplace.make_directory(f"postfix-{fate.value}-{self.smtp.port}")
        self._conf = self._directory / "conf"
        self._queue = self._directory / "queue"
        self._write_files(recipients)

    def start(self) -> None:
        """Start ``master`` and wait for the greeting."""
        self._control("start")
        await_door(self.smtp, self.name)

    def stop(self) -> None:
        """Stop ``master`` and all below it."""
        pids = descend(self.list_roots())
        if not pids:
            return
        self._control("stop")
        end_processes(pids)

    def list_roots(self) -> list[int]:
        """The process id of ``master``, if it runs."""
        path = self._queue / "pid" / "master.pid"
        if not path.exists():
            return []
        pid = int(path.read_text().strip() or 0)
        command = Path(f"/proc/{pid}/comm")
        return [pid] if command.exists() and command.read_text().strip() == "master" else []

    def count_waiting(self) -> int:
        """Queue files that still wait for delivery; held ones do not wait."""
        return sum(_count_files(self._queue / queue) for queue in QUEUES_WAITING)

    def clear(self) -> None:
        """Remove everything queued or held, while stopped or running."""
        self._run("postsuper", "-c", str(self._conf), "-d", "ALL")

    def describe(self) -> dict[str, str]:
        """The settings that matter; ``postconf -c DIR`` shows them all."""
        settings = {
            "queue file": "cleanup(8) calls fsync before 250; there is no setting to switch it off",
            "after acceptance": self._fate.value,
            "master.cf": f"no chroot, {self._limits.processes} smtpd at most",
        }
        for line in self._main_lines():
            name, _, value = line.partition(" = ")
            settings[name] = value
        return settings

    def _write_files(self, recipients: list[str]) -> None:
        self._conf.mkdir()
        self._queue.mkdir()
        data = self._directory / "data"
        data.mkdir()
        shutil.chown(data, "postfix")
        for shared in ("postfix-files", "dynamicmaps.cf", "postfix-script", "post-install"):
            source = Path("/etc/postfix") / shared
            if source.exists():
                shutil.copy2(source, self._conf / shared)
        (self._conf / "main.cf").write_text("\n".join(self._main_lines()) + "\n")
        (self._conf / "master.cf").write_text(
            MASTER.format(listen=self.smtp, processes=self._limits.processes)
        )
        table = self._conf / "recipients"
        table.write_text("".join(f"{address} ok\n" for address in recipients))
        self._run("postmap", "-c", str(self._conf), f"hash:{table}")

    def _main_lines(self) -> list[str]:
        match self._fate:
            case Fate.DELIVER:
                transport = f"lmtp:inet:{self._lmtp}"
            case Fate.DISCARD | Fate.HOLD:
                transport = "discard:"
        lines = [
            "compatibility_level = 3.6",
            f"queue_directory = {self._queue}",
            f"data_directory = {self._directory / 'data'}",
            "maillog_file_prefixes = /dev/null",
            "maillog_file = /dev/null",
            f"inet_interfaces = {LOOPBACK}",
            "inet_protocols = ipv4",
            "myhostname = mx.bench.example",
            "mydestination =",
            f"mynetworks = {LOOPBACK}/32",
            f"virtual_mailbox_domains = {DOMAIN}",
            f"virtual_mailbox_maps = hash:{self._conf / 'recipients'}",
            f"virtual_transport = {transport}",
            "alias_maps =",
            "smtpd_peername_lookup = no",
            "smtpd_relay_restrictions = permit_mynetworks, reject",
            "smtpd_client_connection_count_limit = 0",
            "smtpd_client_connection_rate_limit = 0",
            "in_flow_delay = 0",
            f"default_process_limit = {self._limits.processes}",
            f"lmtp_destination_concurrency_limit = {self._limits.lmtp_concurrency}",
            f"initial_destination_concurrency = {self._limits.lmtp_concurrency}",
            "message_size_limit = 52428800",
        ]
        if self._fate is Fate.HOLD:
            lines.append("smtpd_data_restrictions = check_client_access static:HOLD")
        return lines

    def _control(self, verb: str) -> None:
        self._run("postfix", "-c", str(self._conf), verb)

    def _run(self, *command: str) -> None:
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "MAIL_CONFIG": str(self._conf)}
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            raise PeerFault(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")


def _count_files(directory: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(directory))


def await_drained(postfix: Postfix, timeout_s: float, poll_s: float = 0.02) -> None:
    """Return when nothing waits in the queue. Raises :class:`PeerFault` after ``timeout_s``."""
    limit = time.monotonic() + timeout_s
    while postfix.count_waiting():
        if time.monotonic() > limit:
            raise PeerFault(f"{postfix.name}: {postfix.count_waiting()} messages still queued")
        time.sleep(poll_s)
