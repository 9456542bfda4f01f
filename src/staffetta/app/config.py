"""Every setting of the service: its type, its unit (in its name), its default, its meaning.

One TOML file, or none. The tree below is the only place where a setting is declared:
`docs/configuration.md` is generated from it and what a file may contain is checked against it.
Values are immutable; a reload makes a new tree.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

MIB = 1024 * 1024
GIB = 1024 * MIB

Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]
RoleName = Literal["accept", "deliver", "access"]

# What is added to `port_base` where a door's own port is not set.
PORT_OFFSETS = {
    "accept-health": 1,
    "deliver-health": 11,
    "lmtp": 24,
    "smtp": 25,
    "access-health": 31,
    "http": 80,
    "imap": 143,
    "submission": 587,
    "imaps": 993,
}
PROCESSES_MAX = 9  # of one role: the health ports of the roles lie ten apart


def _described(description: str) -> Meta:
    return Meta(description=description)


class SmtpLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a client of the SMTP and LMTP doors may use up. Beyond it, it hears a 4xx or 5xx."""

    connections_max: Annotated[
        Count, _described("Connections at once, in each accepting process; more hear 421.")
    ] = 2_000
    connections_per_address_max: Annotated[
        Count, _described("Connections at once from one IP address, in each accepting process.")
    ] = 50
    address_limit_exempt: Annotated[
        tuple[str, ...],
        _described("Networks that `connections_per_address_max` does not apply to."),
    ] = ("127.0.0.0/8", "::1/128")
    message_size_bytes_max: Annotated[
        Count,
        _described("What SIZE announces (RFC 1870). A plan may allow a mailbox less."),
    ] = 50 * MIB
    recipients_max: Annotated[
        Annotated[int, Meta(ge=100)],
        _described("Recipients of one message (RFC 5321, 4.5.3.1.8: at least 100)."),
    ] = 1_000
    commands_max: Annotated[
        Count, _described("Commands in one session that bring no message forward.")
    ] = 1_000
    errors_max: Annotated[
        Count, _described("Refused commands in one session, after which it is closed with 421.")
    ] = 100
    hops_max: Annotated[
        Count, _described("Received fields in a message, beyond which it loops (RFC 5321, 6.3).")
    ] = 100


class SmtpTimeouts(msgspec.Struct, frozen=True, kw_only=True):
    """How long the SMTP and LMTP doors wait in each phase (RFC 5321, 4.5.3.2)."""

    tls_handshake_s: Annotated[Seconds, _described("For STARTTLS to be completed.")] = 30.0
    command_s: Annotated[
        Seconds, _described("For the next command (RFC 5321, 4.5.3.2.7: at least 300).")
    ] = 300.0
    data_block_s: Annotated[
        Seconds, _described("For the next part of a message (RFC 5321, 4.5.3.2.5: 180).")
    ] = 180.0
    data_total_s: Annotated[
        Seconds, _described("For a whole message, however steadily it drips in.")
    ] = 1_800.0


class Smtp(msgspec.Struct, frozen=True, kw_only=True):
    """The doors by which mail comes in."""

    addresses: Annotated[tuple[str, ...], _described("IP addresses to listen on.")] = ("127.0.0.1",)
    port: Annotated[Port, _described("Port of the SMTP door; 0: `port_base` + 25.")] = 0
    lmtp: Annotated[bool, _described("Open the LMTP door (RFC 2033) too?")] = True
    lmtp_addresses: Annotated[
        tuple[str, ...], _described("IP addresses of the LMTP door: a trusted net only.")
    ] = ("127.0.0.1",)
    lmtp_port: Annotated[Port, _described("Port of the LMTP door; 0: `port_base` + 24.")] = 0
    limits: SmtpLimits = msgspec.field(default_factory=SmtpLimits)
    timeouts: SmtpTimeouts = msgspec.field(default_factory=SmtpTimeouts)


class ImapLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a client of the IMAP door may use up."""

    connections_max: Annotated[
        Count, _described("Connections at once, in each access process.")
    ] = 20_000
    connections_per_address_max: Annotated[
        Count, _described("Connections at once from one IP address, in each access process.")
    ] = 200
    address_limit_exempt: Annotated[
        tuple[str, ...],
        _described("Networks that `connections_per_address_max` does not apply to."),
    ] = ("127.0.0.0/8", "::1/128")
    sessions_per_mailbox_max: Annotated[
        Count, _described("Sessions at once that are signed in to one mailbox.")
    ] = 100
    append_bytes_max: Annotated[
        Count, _described("Size of one message that is put in by APPEND.")
    ] = 50 * MIB
    sign_in_failures_max: Annotated[
        Count, _described("Failed sign-ins on one connection, after which it is closed.")
    ] = 5


class ImapTimeouts(msgspec.Struct, frozen=True, kw_only=True):
    """How long the IMAP door waits."""

    tls_handshake_s: Annotated[Seconds, _described("For a TLS handshake.")] = 30.0
    signed_out_s: Annotated[Seconds, _described("For a client to sign in.")] = 60.0
    signed_in_s: Annotated[
        Annotated[float, Meta(ge=1800)],
        _described("For the next command (RFC 3501, 5.4: at least 30 minutes)."),
    ] = 1_860.0
    write_s: Annotated[Seconds, _described("For a client to take what it asked for.")] = 300.0


class Imap(msgspec.Struct, frozen=True, kw_only=True):
    """The door by which mail programs read."""

    addresses: Annotated[tuple[str, ...], _described("IP addresses to listen on.")] = ("127.0.0.1",)
    port: Annotated[
        Port, _described("Port with STARTTLS (in clear on loopback); 0: `port_base` + 143.")
    ] = 0
    tls_port: Annotated[
        Port, _described("Port with TLS from the first byte; 0: `port_base` + 993.")
    ] = 0
    limits: ImapLimits = msgspec.field(default_factory=ImapLimits)
    timeouts: ImapTimeouts = msgspec.field(default_factory=ImapTimeouts)


class Http(msgspec.Struct, frozen=True, kw_only=True):
    """The HTTP side of the access role: the emergency inbox."""

    addresses: Annotated[tuple[str, ...], _described("IP addresses to listen on.")] = ("127.0.0.1",)
    port: Annotated[Port, _described("Port; 0: `port_base` + 80.")] = 0
    body_bytes_max: Annotated[Count, _described("Size of one request's body.")] = MIB
    connections_max: Annotated[
        Count, _described("Requests at once, in each access process; more hear 503.")
    ] = 1_000


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Where each process answers `/healthz` and `/metrics`: one port each, counting up."""

    addresses: Annotated[tuple[str, ...], _described("IP addresses: an operator's net only.")] = (
        "127.0.0.1",
    )
    accept_port: Annotated[
        Port, _described("Of the first accepting process; 0: `port_base` + 1.")
    ] = 0
    deliver_port: Annotated[
        Port, _described("Of the first delivering process; 0: `port_base` + 11.")
    ] = 0
    access_port: Annotated[
        Port, _described("Of the first access process; 0: `port_base` + 31.")
    ] = 0


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """The log: what `250` stands for."""

    directory: Annotated[
        str, _described("Where it is, best a disk of its own; empty: `log` in the data directory.")
    ] = ""
    inline_body_bytes_max: Annotated[
        Count, _described("Larger messages go to a file of their own, beside the log's rows.")
    ] = 256 * 1024
    period_hours: Annotated[
        Annotated[int, Meta(ge=1, le=168)],
        _described("How much time one file of the log covers; dropping a file is retention."),
    ] = 6
    retention_days: Annotated[
        Count,
        _described("How long accepted mail stays in the log. Undelivered mail stays longer."),
    ] = 30
    free_bytes_min: Annotated[
        Count, _described("With less room than this on its disk, new mail hears 452 4.3.1.")
    ] = 256 * MIB
    free_bytes_alarm: Annotated[
        Count, _described("With less room than this, an alarm is raised. More than the minimum.")
    ] = 2 * GIB
    commit_messages_max: Annotated[
        Count, _described("Messages that one commit of the log may make durable together.")
    ] = 256
    commit_bytes_max: Annotated[
        Count, _described("Bytes that one commit of the log may make durable together.")
    ] = 8 * MIB


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """From the log into the mailboxes."""

    batch_messages_max: Annotated[
        Count, _described("Messages that one round puts into the mailboxes of a cell.")
    ] = 8_000
    open_mailboxes_max: Annotated[
        Count,
        _described(
            "Mailbox files of one cell that a delivering process keeps open; each takes up to "
            "200 KiB and three descriptors, and spares opening it for the next message."
        ),
    ] = 512
    batch_bytes_max: Annotated[
        Count, _described("Bytes that one round puts into the mailboxes of a cell.")
    ] = 32 * MIB
    sync_interval_s: Annotated[
        Seconds, _described("At most so long after a round, it is synced and checkpointed.")
    ] = 0.5
    held_retry_s: Annotated[
        Seconds, _described("How often mail that is held for quota is looked at again.")
    ] = 60.0


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """How people's requests touch the cells: with a deadline, on a bounded number of threads."""

    deadline_s: Annotated[Seconds, _described("For one operation on a cell.")] = 5.0
    threads_per_cell: Annotated[Count, _described("Operations at once on one cell.")] = 8
    waiting_per_cell_max: Annotated[
        Count, _described("Operations that wait for a thread of one cell; more hear UNAVAILABLE.")
    ] = 2_000
    breaker_probe_s: Annotated[
        Seconds, _described("How often a cell that is left alone is tried.")
    ] = 1.0
    open_mailboxes_max: Annotated[
        Count, _described("Mailbox files of one cell that a process keeps open.")
    ] = 32


class Emergency(msgspec.Struct, frozen=True, kw_only=True):
    """The emergency inbox: mail read from the log while a cell is down."""

    days: Annotated[
        Count, _described("How far back it shows mail; the log's retention is the limit.")
    ] = 30
    page_messages_max: Annotated[Count, _described("Messages in one page of its list.")] = 200


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One cell of mailboxes, where it is not in its usual place."""

    directory: Annotated[
        str, _described("Where it is; empty: `cells/NAME` in the data directory.")
    ] = ""


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """The certificate. Without one, one is made in `tls` of the data directory."""

    certificate: Annotated[
        str, _described("File with the certificate and its chain, PEM; empty: self-made.")
    ] = ""
    key: Annotated[str, _described("File with its private key, PEM.")] = ""


class Roles(msgspec.Struct, frozen=True, kw_only=True):
    """Which roles run here, and in how many processes each."""

    run: Annotated[tuple[RoleName, ...], _described("The roles of this machine.")] = (
        "accept",
        "deliver",
        "access",
    )
    accept_processes: Annotated[
        Annotated[int, Meta(ge=1, le=PROCESSES_MAX)],
        _described("Processes that accept mail; each has a partition of the log."),
    ] = 1
    deliver_processes: Annotated[
        Annotated[int, Meta(ge=1, le=PROCESSES_MAX)],
        _described("Processes that deliver; the cells are shared out among them."),
    ] = 1
    access_processes: Annotated[
        Annotated[int, Meta(ge=1, le=PROCESSES_MAX)],
        _described("Processes that serve mail programs and the emergency inbox."),
    ] = 1
    grace_s: Annotated[
        Seconds, _described("How long a process may take to finish what it does when stopped.")
    ] = 10.0


class Argon2(msgspec.Struct, frozen=True, kw_only=True):
    """How expensive it is to try a password (Argon2id, RFC 9106)."""

    memory_kib: Annotated[Annotated[int, Meta(ge=8)], _described("Memory for one try.")] = 19_456
    rounds: Annotated[Count, _described("Passes over that memory.")] = 2
    lanes: Annotated[Count, _described("Threads for one try.")] = 1


class Telemetry(msgspec.Struct, frozen=True, kw_only=True):
    """What the service says about itself."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], _described("The least urgent lines to keep.")
    ] = "info"
    file: Annotated[
        str, _described("File for the lines, opened again on SIGHUP; empty: standard error.")
    ] = ""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The whole configuration."""

    data_directory: Annotated[
        str, _described("Where everything is kept. Relative paths start at the file's place.")
    ] = "var/staffetta"
    host_name: Annotated[
        str,
        _described(
            "The name of this service in greetings and trace headers, the same for all brands; "
            "empty: the machine's own."
        ),
    ] = ""
    port_base: Annotated[
        Annotated[int, Meta(ge=0, le=64_000)],
        _described("All ports that are not set lie at their usual number above this one."),
    ] = 8_000
    smtp: Smtp = msgspec.field(default_factory=Smtp)
    imap: Imap = msgspec.field(default_factory=Imap)
    http: Http = msgspec.field(default_factory=Http)
    health: Health = msgspec.field(default_factory=Health)
    log: Log = msgspec.field(default_factory=Log)
    delivery: Delivery = msgspec.field(default_factory=Delivery)
    access: Access = msgspec.field(default_factory=Access)
    emergency: Emergency = msgspec.field(default_factory=Emergency)
    cells: dict[str, Cell] = msgspec.field(default_factory=dict)
    tls: Tls = msgspec.field(default_factory=Tls)
    roles: Roles = msgspec.field(default_factory=Roles)
    argon2: Argon2 = msgspec.field(default_factory=Argon2)
    telemetry: Telemetry = msgspec.field(default_factory=Telemetry)

    def port(self, door: str) -> int:
        """The port of a door; of the first process for the health doors."""
        own = {
            "smtp": self.smtp.port,
            "lmtp": self.smtp.lmtp_port,
            "imap": self.imap.port,
            "imaps": self.imap.tls_port,
            "http": self.http.port,
            "accept-health": self.health.accept_port,
            "deliver-health": self.health.deliver_port,
            "access-health": self.health.access_port,
        }.get(door, 0)
        return own or self.port_base + PORT_OFFSETS[door]

    def processes(self, role: str) -> int:
        """How many processes a role has."""
        return {
            "accept": self.roles.accept_processes,
            "deliver": self.roles.deliver_processes,
            "access": self.roles.access_processes,
        }[role]

    @property
    def data(self) -> DataDirectory:
        """The places within the data directory."""
        return DataDirectory(Path(self.data_directory))


class DataDirectory:
    """Where things are on disk. The one place that knows these names."""

    __slots__ = ("root",)

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def log(self) -> Path:
        """The log's volume, unless the configuration puts it elsewhere."""
        return self.root / "log"

    @property
    def cells(self) -> Path:
        """The cells' volumes, one directory each."""
        return self.root / "cells"

    @property
    def directory(self) -> Path:
        """Brands, domains, plans, people."""
        return self.root / "directory"

    @property
    def replica(self) -> Path:
        """The roles' own copies of the directory."""
        return self.root / "replica"

    @property
    def deliver(self) -> Path:
        """Checkpoints of delivery."""
        return self.root / "deliver"

    @property
    def run(self) -> Path:
        """Sockets and the fault file: meaningless once the service has stopped."""
        return self.root / "run"

    @property
    def tls(self) -> Path:
        """The self-made certificate."""
        return self.root / "tls"
