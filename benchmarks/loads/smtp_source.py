"""Postfix's ``smtp-source`` as the generator: C, one process, many sessions, no pipelining."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass

from benchmarks.peers.port import Door, PeerFault

TIMEOUT_S = 300


@dataclass(frozen=True, slots=True)
class SmtpLoad:
    """What to send.

    With ``numbered`` the n-th message of a run goes to ``<n><recipient>``, n from 1, so that one
    run of as many messages as mailboxes touches each mailbox once.
    """

    messages: int
    recipient: str
    sender: str = "load@sender.example"
    numbered: bool = True
    sessions: int = 16
    reuse_sessions: bool = True
    size_bytes: int = 4096


def send(load: SmtpLoad, door: Door) -> float:
    """Send it all and return the seconds from start to the last ``250``.

    Raises :class:`PeerFault` at the first answer that is not the expected one.
    """
    command = ["smtp-source", "-s", str(load.sessions), "-l", str(load.size_bytes)]
    command += ["-m", str(load.messages), "-f", load.sender, "-t", load.recipient]
    command += ["-N"] if load.numbered else []
    command += ["-d"] if load.reuse_sessions else []
    # A full listen queue resets connections; a client in the world would try again as well.
    command += ["-C", "10", "-M", "client.sender.example", str(door)]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    elapsed_s = time.perf_counter() - started
    if done.returncode != 0:
        raise PeerFault(f"{' '.join(command)}: {done.stderr.strip()[-300:]}")
    return elapsed_s
