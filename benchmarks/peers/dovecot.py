"""Dovecot 2.3 from a private configuration: sdbox, LMTP and IMAP on high ports of loopback.

Set for speed wherever that costs no durability: login processes in high-performance mode, processes
kept ready, authentication cached, plain passwords, no logging of events nobody reads.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.port import PeerFault
from benchmarks.peers.processes import LOOPBACK, Daemon, Workplace, await_door

# An unused number: sdbox files belong to it, and no account of the system is needed.
MAIL_USER_ID = 23_131
PASSWORD = "pass"
LIMIT_PROCESSES = 12_000
CERTIFICATE_DAYS = 2

CONFIGURATION = """\
base_dir = {root}/run
state_dir = {root}/state
instance_name = bench-{imap_port}
log_path = {root}/dovecot.log
listen = {host}
protocols = imap lmtp
ssl = yes
ssl_cert = <{root}/cert.pem
ssl_key = <{root}/key.pem
disable_plaintext_auth = no
auth_mechanisms = plain
auth_cache_size = 16 M
auth_cache_ttl = 1 hour
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {root}/users
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {root}/users
}}
first_valid_uid = {uid}
last_valid_uid = {uid_last}
first_valid_gid = {uid}
last_valid_gid = {uid_last}
mail_location = sdbox:~/sdbox
mail_fsync = {fsync}
namespace inbox {{
  inbox = yes
  separator = /
}}
mail_max_userip_connections = 0
postmaster_address = postmaster@bench.example
hostname = bench.example
default_process_limit = {processes}
default_client_limit = 20000
default_vsz_limit = 2 G
imap_idle_notify_interval = 29 mins
{hibernate}
service anvil {{
  client_limit = 60000
}}
service auth {{
  client_limit = 60000
}}
service stats {{
  client_limit = 60000
}}
service imap-login {{
  service_count = 0
  process_min_avail = 2
  process_limit = 2
  client_limit = 8000
  inet_listener imap {{
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = {imaps_port}
    ssl = yes
  }}
}}
service imap {{
  process_min_avail = 8
  process_limit = {processes}
  service_count = 1
{extra_imap}
}}
service imap-hibernate {{
  client_limit = {processes}
  unix_listener imap-hibernate {{
    mode = 0666
  }}
}}
service lmtp {{
  process_min_avail = {lmtp_processes}
  process_limit = {lmtp_processes}
  inet_listener lmtp {{
    port = {lmtp_port}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class DovecotChoices:
    """What differs between the runs of one benchmark and another.

    More than one ``mail_users`` is for thousands of sessions at once: the kernel allows each user
    only so many inotify instances, and without one a session in IDLE cannot hibernate.
    """

    fsync: str = "always"
    lmtp_processes: int = 20
    hibernate_after_s: int | None = None
    mail_users: int = 1


class Dovecot:
    """One instance of Dovecot with its own mailboxes."""

    password = PASSWORD

    def __init__(
        self, workplace: Workplace, users: list[str], choices: DovecotChoices | None = None
    ) -> None:
        self.choices = choices or DovecotChoices()
        self.imap = workplace.find_door()
        self.imaps = workplace.find_door()
        self.lmtp = workplace.find_door()
        self._root = workplace.make_directory(f"dovecot-{self.imap.port}")
        self._daemon = Daemon("dovecot", self._root / "start.log")
        self._write_users(users)
        write_certificate(self._root)

    @property
    def name(self) -> str:
        """Named with what sets this instance apart."""
        if self.choices.hibernate_after_s is not None:
            return "dovecot (hibernating)"
        return "dovecot"

    def start(self) -> None:
        """Start it in the foreground and wait for its IMAP and LMTP greetings."""
        path = self._root / "dovecot.conf"
        path.write_text(self._render())
        self._daemon.start(["dovecot", "-F", "-c", str(path)])
        try:
            await_door(self.imap, self.name)
            await_door(self.lmtp, self.name)
        except PeerFault as fault:
            self.stop()
            raise PeerFault(f"{fault}: {self._daemon.explain()}{self.read_log()}") from fault

    def stop(self) -> None:
        """Stop it."""
        self._daemon.stop()

    def restart(self, choices: DovecotChoices) -> None:
        """Same mailboxes, other choices."""
        self.stop()
        self.choices = choices
        self.start()

    def list_roots(self) -> list[int]:
        """The master process."""
        return self._daemon.list_roots()

    def read_log(self) -> str:
        """The end of its log."""
        log = self._root / "dovecot.log"
        return log.read_text(errors="replace")[-1500:] if log.exists() else ""

    def describe(self) -> dict[str, str]:
        """The settings that matter."""
        hibernate = self.choices.hibernate_after_s
        return {
            "mail_location": "sdbox",
            "mail_fsync": self.choices.fsync,
            "lmtp process_limit": str(self.choices.lmtp_processes),
            "imap-login": "service_count=0, 2 processes, client_limit=8000",
            "mail users": f"{self.choices.mail_users} numeric user ids own the mailboxes",
            "imap_hibernate_timeout": f"{hibernate} s" if hibernate is not None else "off",
            "passdb": "passwd-file, scheme PLAIN, auth_cache on",
            "full-text search": "none (Debian's dovecot-core has none built in)",
        }

    def _write_users(self, users: list[str]) -> None:
        ids = [MAIL_USER_ID + number for number in range(self.choices.mail_users)]
        for this_id in ids:
            home = self._root / "mail" / str(this_id)
            home.mkdir(parents=True)
            os.chown(home, this_id, this_id)
        lines = []
        for number, user in enumerate(users):
            this_id = ids[number % len(ids)]
            home = self._root / "mail" / str(this_id) / user
            lines.append(f"{user}:{{PLAIN}}{PASSWORD}:{this_id}:{this_id}::{home}::\n")
        (self._root / "users").write_text("".join(lines))

    def _render(self) -> str:
        hibernate = self.choices.hibernate_after_s
        text = "" if hibernate is None else f"imap_hibernate_timeout = {hibernate} secs"
        extra = "" if hibernate is None else "  unix_listener imap-master {\n    mode = 0666\n  }"
        return CONFIGURATION.format(
            root=self._root,
            host=LOOPBACK,
            uid=MAIL_USER_ID,
            uid_last=MAIL_USER_ID + self.choices.mail_users - 1,
            fsync=self.choices.fsync,
            processes=LIMIT_PROCESSES,
            hibernate=text,
            extra_imap=extra,
            imap_port=self.imap.port,
            imaps_port=self.imaps.port,
            lmtp_port=self.lmtp.port,
            lmtp_processes=self.choices.lmtp_processes,
        )


def write_certificate(directory: Path) -> None:
    """A self-signed P-256 certificate as ``cert.pem`` and ``key.pem``."""
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    names = ("-days", str(CERTIFICATE_DAYS), "-subj", "/CN=bench.example")
    files = ("-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem"))
    subprocess.run(
        ["openssl", "req", "-x509", "-nodes", *kind, *names, *files],
        check=True,
        capture_output=True,
    )
