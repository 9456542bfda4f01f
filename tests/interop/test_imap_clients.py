"""Clients that others wrote, against a door that listens."""

from __future__ import annotations

import imaplib
import os
import pty
import re
import select
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from imapclient import IMAPClient

from tests.imap_live import LiveDoor, serve
from tests.imap_rig import PASSWORD

SAMPLES = Path(__file__).parent.parent / "samples"
ANNA = "anna@libero.example"
BRUNO = "bruno@virgilio.example"
PROGRAM_S = 60

needs_mbsync = pytest.mark.skipif(shutil.which("mbsync") is None, reason="mbsync is not here")
needs_neomutt = pytest.mark.skipif(shutil.which("neomutt") is None, reason="neomutt is not here")


@pytest.fixture
def door(tmp_path: Path) -> Iterator[LiveDoor]:
    with serve(tmp_path / "door") as live:
        yield live


def samples() -> list[bytes]:
    """The sample mail, as it travels."""
    paths = sorted(SAMPLES.glob("*.eml"))
    assert len(paths) > 10
    return [re.sub(rb"\r?\n", b"\r\n", path.read_bytes()) for path in paths]


def tls_context(door: LiveDoor) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(door.certificate))


def test_imaplib_in_clear_starttls_and_tls(door: LiveDoor) -> None:
    clear = imaplib.IMAP4("127.0.0.1", door.port)
    upgraded = imaplib.IMAP4("localhost", door.port)
    assert upgraded.starttls(tls_context(door))[0] == "OK"
    assert "STARTTLS" not in upgraded.capabilities
    secure = imaplib.IMAP4_SSL("localhost", door.tls_port, ssl_context=tls_context(door))
    for client in (clear, upgraded, secure):
        assert client.login(ANNA, PASSWORD)[0] == "OK"
        assert client.select()[0] == "OK"
        assert client.logout()[0] == "BYE"


def test_imaplib_says_what_is_wrong(door: LiveDoor) -> None:
    client = imaplib.IMAP4("127.0.0.1", door.port)
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        client.login(ANNA, "wrong")
    client.shutdown()


def test_imaplib_reads_and_writes_every_sample(door: LiveDoor) -> None:
    client = imaplib.IMAP4("127.0.0.1", door.port)
    client.login(ANNA, PASSWORD)
    mails = samples()
    for mail in mails:
        assert client.append("INBOX", r"(\Seen)", None, mail)[0] == "OK"  # type: ignore[arg-type]
    client.select()
    got = []
    for number in range(1, len(mails) + 1):
        status, parts = client.fetch(str(number), "(BODY.PEEK[])")
        assert status == "OK"
        part = parts[0]
        assert isinstance(part, tuple)
        got.append(part[1])
    assert got == mails
    for item in ("ENVELOPE", "BODYSTRUCTURE", "BODY", "INTERNALDATE", "RFC822.SIZE"):
        assert client.fetch("1:*", f"({item})")[0] == "OK"
    assert client.logout()[0] == "BYE"


def test_imapclient_lives_in_a_mailbox(door: LiveDoor) -> None:
    with IMAPClient("localhost", door.tls_port, ssl_context=tls_context(door)) as client:
        client.login(ANNA, PASSWORD)
        for mail in samples():
            client.append("INBOX", mail)
        count = client.select_folder("INBOX")[b"EXISTS"]
        assert count == len(samples())
        items = ["ENVELOPE", "BODYSTRUCTURE", "FLAGS", "INTERNALDATE"]
        parsed = client.fetch(client.search(), items)
        assert len(parsed) == count
        assert all({b"ENVELOPE", b"BODYSTRUCTURE"} <= data.keys() for data in parsed.values())
        client.add_flags([1, 2], [rb"\Flagged", b"Lavoro"])
        assert client.search(["FLAGGED", "KEYWORD", "Lavoro"]) == [1, 2]
        client.create_folder("Archivio/Città")
        client.move([1], "Archivio/Città")
        assert client.folder_status("Archivio/Città", ["MESSAGES"]) == {b"MESSAGES": 1}
        client.delete_messages([2])
        client.expunge()
        assert client.search() == list(range(3, count + 1))
        assert client.find_special_folder(rb"\Trash") == "Trash"
        names = {name for _, _, name in client.list_folders()}
        assert {"INBOX", "Archivio/Città", "Sent"} <= names
        client.rename_folder("Archivio/Città", "Città")
        client.delete_folder("Città")


def test_imapclient_hears_of_new_mail_in_idle(door: LiveDoor) -> None:
    with IMAPClient("localhost", door.port, ssl=False) as client:
        client.login(ANNA, PASSWORD)
        client.select_folder("INBOX")
        client.idle()
        door.run(lambda rig: rig.deliver(samples()[0]))
        assert (1, b"EXISTS") in client.idle_check(timeout=5)
        client.idle_done()


def write_maildir(root: Path, mails: list[bytes]) -> None:
    """A Maildir with the mails, flagged in some of the ways there are."""
    for part in ("cur", "new", "tmp"):
        (root / part).mkdir(parents=True)
    for number, mail in enumerate(mails):
        flags = ("", "S", "FS", "RS", "D")[number % 5]
        name = f"{1_700_000_000 + number}.M1P1.here:2,{flags}"
        (root / "cur" / name).write_bytes(mail.replace(b"\r\n", b"\n"))


def read_maildir(root: Path) -> list[tuple[bytes, str]]:
    """What is in a Maildir: contents and flags."""
    found = []
    for part in ("cur", "new"):
        for path in (root / part).iterdir():
            flags = path.name.partition(":2,")[2]
            # What mbsync sends carries a mark of its own.
            found.append((re.sub(rb"X-TUID: .*\n", b"", path.read_bytes()), flags))
    return sorted(found)


MBSYNC = """
IMAPStore far
Host 127.0.0.1
Port {port}
User {user}
Pass "{password}"
SSLType None
AuthMechs {auth}

MaildirStore near
Path {root}/
Inbox {root}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns INBOX
Create Both
Expunge Both
SyncState {root}/state-
"""


def run_mbsync(door: LiveDoor, root: Path, auth: str) -> None:
    settings = root / "mbsyncrc"
    settings.write_text(
        MBSYNC.format(port=door.port, user=ANNA, password=PASSWORD, root=root, auth=auth)
    )
    done = subprocess.run(
        ["mbsync", "-c", str(settings), "-a"],
        capture_output=True,
        timeout=PROGRAM_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.interop
@needs_mbsync
def test_mbsync_takes_a_maildir_out_and_back_without_a_difference(
    door: LiveDoor, tmp_path: Path
) -> None:
    out, back = tmp_path / "out", tmp_path / "back"
    mails = [mail for mail in samples() if b"\r\n\r\n" in mail]  # mbsync sends no others
    write_maildir(out / "INBOX", mails)
    run_mbsync(door, out, "LOGIN")
    back.mkdir()
    run_mbsync(door, back, "PLAIN")
    assert len(read_maildir(back / "INBOX")) == len(mails)
    assert read_maildir(back / "INBOX") == read_maildir(out / "INBOX")

    # Flags and deletions travel too: changed here, seen there.
    first = sorted((out / "INBOX" / "cur").iterdir())[0]
    first.rename(first.with_name(first.name.partition(":2,")[0] + ":2,FRS"))
    second = sorted((out / "INBOX" / "cur").iterdir())[1]
    second.unlink()
    run_mbsync(door, out, "LOGIN")
    run_mbsync(door, back, "LOGIN")
    assert len(read_maildir(back / "INBOX")) == len(mails) - 1
    assert read_maildir(back / "INBOX") == read_maildir(out / "INBOX")


@pytest.mark.interop
@needs_neomutt
def test_neomutt_opens_reads_and_saves(door: LiveDoor, tmp_path: Path) -> None:
    door.run(lambda rig: rig.deliver(*samples()))
    settings = tmp_path / "muttrc"
    settings.write_text(
        f'set imap_user="{ANNA}" imap_pass="{PASSWORD}" ssl_starttls=no ssl_force_tls=no\n'
        f'set folder="imap://127.0.0.1:{door.port}/" spoolfile="+INBOX" record="" postponed=""\n'
        f'set header_cache="{tmp_path}/headers" message_cachedir="{tmp_path}/bodies"\n'
        "set quit=yes delete=yes confirmappend=no confirmcreate=no wait_key=no "
        "use_threads=flat sort=mailbox-order mark_old=no\n"
        'push "<tag-pattern>~A<enter><tag-prefix><copy-message>=Archive<enter>'
        "<tag-prefix><clear-flag>N<untag-pattern>~A<enter>"
        '<first-entry><display-message><exit><delete-message><sync-mailbox><quit>"\n'
    )
    run_in_terminal(["neomutt", "-n", "-F", str(settings)], tmp_path)
    with IMAPClient("localhost", door.port, ssl=False) as client:
        client.login(ANNA, PASSWORD)
        count = len(samples())
        assert client.folder_status("Archive", ["MESSAGES"]) == {b"MESSAGES": count}
        assert client.select_folder("INBOX")[b"EXISTS"] == count - 1
        client.select_folder("Archive")
        copied = client.fetch(client.search(), ["BODY.PEEK[]"])
        assert [data[b"BODY[]"] for _, data in sorted(copied.items())] == samples()


def run_in_terminal(command: list[str], home: Path) -> None:
    """Run a program that wants a terminal, and wait for its end."""
    environment = {**os.environ, "TERM": "xterm", "HOME": str(home), "LANG": "C.UTF-8"}
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(command[0], command, environment)
    shown = b""
    with suppress(OSError):  # the terminal's end, once nobody holds the other side
        while select.select([terminal], [], [], PROGRAM_S)[0]:
            octets = os.read(terminal, 65_536)
            if not octets:
                break
            shown += octets
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert status == 0, shown[-2_000:].decode("utf-8", "replace")
