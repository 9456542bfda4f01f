"""Getting Postfix, Dovecot and strace from Debian where they are absent and may be installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks.peers.port import PeerFault

INSTALL_TIMEOUT_S = 600
# While this file says 101 ("forbidden by policy"), installing a package starts no service.
POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = "#!/bin/sh\nexit 101\n"


@dataclass(frozen=True, slots=True)
class Package:
    """A Debian package and a program by which its presence is known."""

    name: str
    program: str
    needed: bool = True


PACKAGES = (
    Package("postfix", "smtp-source"),
    Package("dovecot-imapd", "/usr/lib/dovecot/imap"),
    Package("dovecot-lmtpd", "/usr/lib/dovecot/lmtp"),
    Package("openssl", "openssl"),
    Package("strace", "strace", needed=False),
)


def find_absent() -> list[Package]:
    """The packages whose programs are not here."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    os.environ["PATH"] = path
    return [package for package in PACKAGES if not shutil.which(package.program)]


def install_peers(console: Console) -> None:
    """Install what is absent. Raises :class:`PeerFault` with the command to run where it may not.

    The peers run as their own users from a root-owned master, so root is needed in any case.
    """
    absent = find_absent()
    names = " ".join(package.name for package in absent)
    if os.geteuid() != 0:
        raise PeerFault(
            "Postfix and Dovecot are started by root only (their parts drop to users of their own)."
            + (f" Also needed: apt-get install {names}" if absent else "")
        )
    if not absent:
        return
    if not shutil.which("apt-get"):
        raise PeerFault(f"please install: {names}")
    console.print(f"installing from Debian: {names}")
    _apt("update")
    with _services_forbidden():
        _apt("install", "--no-install-recommends", *(package.name for package in absent))
    left = [package.name for package in find_absent() if package.needed]
    if left:
        raise PeerFault(f"still absent after installation: {' '.join(left)}")


@contextmanager
def _services_forbidden() -> Iterator[None]:
    if POLICY.exists():
        yield
        return
    POLICY.write_text(POLICY_TEXT)
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def _apt(*arguments: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        ["apt-get", "-qq", "-y", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=INSTALL_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise PeerFault(f"apt-get {arguments[0]}: {done.stderr.strip()[-500:]}")
