"""What the door allows, each limit with its unit."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class ImapSettings:
    """Limits and times of the IMAP door; the configuration's `imap` explains them."""

    host_name: str = "localhost"
    connections_max: int = 20_000
    connections_per_address_max: int = 200
    address_limit_exempt: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    sessions_per_mailbox_max: int = 100
    append_bytes_max: int = 50 * MIB
    sign_in_failures_max: int = 5
    bad_commands_max: int = 50
    tls_handshake_s: float = 30.0
    signed_out_s: float = 60.0
    signed_in_s: float = 1_860.0  # RFC 3501 5.4: at least 30 minutes
    write_s: float = 300.0
    search_s: float = 30.0  # of a SEARCH that has to read what no index has yet
    heartbeat_s: float = 120.0  # of "* OK Still here" in IDLE; keeps NAT boxes and Outlook awake
    idle_look_s: float = 30.0  # notifications may be lost
    wake_delay_s: float = 0.03  # news of one moment is told together
    woken_at_once: int = 100
    sweep_s: float = 2.0
    input_waiting_bytes_max: int = 128 * KIB  # of a client that sends ahead
    write_buffer_high_bytes: int = MIB
    write_buffer_low_bytes: int = 256 * KIB


# What a FETCH makes at a time, on the cell's thread, before it is written.
CHUNK_BYTES = MIB
CHUNK_MESSAGES = 10_000  # where lines are short and need no look into the mailbox
