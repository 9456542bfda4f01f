"""Several clients on one mailbox: whatever they do, each one's picture stays true.

A client here believes only what the door tells it: it counts messages by EXISTS and EXPUNGE and
fills in UIDs and flags from FETCH. Numbers that slip by one would be seen at once, since each
FETCH line must fit what the client knows already.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from staffetta.mailboxes.port import SYSTEM_FLAGS
from tests.imap_rig import Client, Rig, open_rig, ref_of

CLIENTS = 3
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Nothing here is about what survives, so no disk need be waited for."""
FLAGS = (r"\Seen", r"\Flagged", r"\Deleted", "Lavoro")
_FETCH = re.compile(rb"\* (\d+) FETCH \((.*)\)")
_UID = re.compile(rb"UID (\d+)")
_FLAGS = re.compile(rb"FLAGS \(([^)]*)\)")
_CHANGES_NOTHING = re.compile(rb"t (FETCH|STORE|SEARCH) ")


class Mirror:
    """A client and what it believes."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.uids: list[int | None] = []
        self.flags: list[set[str] | None] = []
        self.idles = False

    async def say(self, command: bytes) -> list[bytes]:
        """Send a command and believe its answer; afterwards ask for what is not known."""
        if self.idles:
            await self.stop_idling()
        lines = await self.client.command(b"t " + command)
        keeps_numbers = _CHANGES_NOTHING.match(b"t " + command) is not None
        for line in lines[:-1]:
            assert not (keeps_numbers and line.endswith(b"EXPUNGE")), (command, lines)
            self.believe(line)
        return lines

    async def catch_up(self) -> None:
        """NOOP, and the UIDs and flags of what has been announced."""
        await self.say(b"NOOP")
        if None in self.uids or None in self.flags:
            await self.say(b"FETCH 1:* (UID FLAGS)")
            assert None not in self.uids

    def believe(self, line: bytes) -> None:
        words = line.split()
        if len(words) == 3 and words[2] == b"EXISTS":
            count = int(words[1])
            assert count >= len(self.uids), "EXISTS must not take messages away"
            new = count - len(self.uids)
            self.uids += [None] * new
            self.flags += [None] * new
        elif len(words) == 3 and words[2] == b"EXPUNGE":
            position = int(words[1]) - 1
            assert 0 <= position < len(self.uids)
            del self.uids[position], self.flags[position]
        elif found := _FETCH.fullmatch(line):
            self.believe_fetch(int(found[1]) - 1, found[2])

    def believe_fetch(self, position: int, items: bytes) -> None:
        assert 0 <= position < len(self.uids)
        if uid := _UID.search(items):
            assert self.uids[position] in (None, int(uid[1])), "the numbers have slipped"
            self.uids[position] = int(uid[1])
        if flags := _FLAGS.search(items):
            self.flags[position] = set(flags[1].decode().split()) - {r"\Recent"}

    async def start_idling(self) -> None:
        if not self.idles:
            self.idles = True
            self.client.send(b"t IDLE\r\n")
            while not (line := await self.client.read_line()).startswith(b"+ "):
                self.believe(line)

    async def stop_idling(self) -> None:
        self.idles = False
        await self.client.settle()
        self.client.send(b"DONE\r\n")
        for line in await self.client.read_until(b"t"):
            self.believe(line)


class Sessions(RuleBasedStateMachine):
    """Three clients, a delivering process, one folder."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory(dir=MEMORY)
        self.stack = AsyncExitStack()
        self.mirrors: list[Mirror] = []
        self.rig: Rig
        self.delivered = 0

    @initialize(count=st.integers(0, 6))
    def open(self, count: int) -> None:
        async def begin() -> None:
            root = Path(self.directory.name)
            self.rig = await self.stack.enter_async_context(open_rig(root))
            await self.put_in(count)
            for _ in range(CLIENTS):
                client = await self.rig.sign_in()
                mirror = Mirror(client)
                await mirror.say(b"SELECT INBOX")
                await mirror.catch_up()
                self.mirrors.append(mirror)

        self.runner.run(begin())

    async def put_in(self, count: int) -> None:
        mails = []
        for _ in range(count):
            self.delivered += 1
            mails.append(b"Subject: %d\r\n\r\n%d\r\n" % (self.delivered, self.delivered))
        await self.rig.deliver(*mails)

    who = st.integers(0, CLIENTS - 1)
    place = st.floats(0, 1)

    def number(self, mirror: Mirror, place: float) -> int | None:
        """A message number that the client may use."""
        return 1 + round(place * (len(mirror.uids) - 1)) if mirror.uids else None

    def act(self, who: int, place: float, command: str, with_uid: bool) -> None:
        """One client does something with one message."""

        async def run() -> None:
            mirror = self.mirrors[who]
            if mirror.idles:
                await mirror.stop_idling()
            number = self.number(mirror, place)
            if number is None:
                return
            uid = mirror.uids[number - 1]
            if with_uid and uid is not None:
                await mirror.say(f"UID {command}".replace("%", str(uid)).encode())
            else:
                await mirror.say(command.replace("%", str(number)).encode())

        self.runner.run(run())

    @rule(count=st.integers(1, 3))
    def deliver(self, count: int) -> None:
        self.runner.run(self.put_in(count))

    @rule(who=who, place=place, flag=st.sampled_from(FLAGS), sign=st.sampled_from("+-"),
          silent=st.booleans(), with_uid=st.booleans())  # fmt: skip
    def store(
        self, who: int, place: float, flag: str, sign: str, silent: bool, with_uid: bool
    ) -> None:
        mirror = self.mirrors[who]
        if silent and mirror.uids:
            # What is not told is known all the same: the client did it itself.
            number = self.number(mirror, place)
            assert number is not None
            self.act(who, place, f"STORE % {sign}FLAGS.SILENT ({flag})", with_uid)
            self.act(who, place, "FETCH % (FLAGS)", with_uid)
        else:
            self.act(who, place, f"STORE % {sign}FLAGS ({flag})", with_uid)

    @rule(who=who, place=place, with_uid=st.booleans())
    def fetch(self, who: int, place: float, with_uid: bool) -> None:
        self.act(who, place, "FETCH % (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])", with_uid)

    @rule(who=who, other=who, place=place, command=st.sampled_from(
          ["FETCH % (UID)", "STORE % +FLAGS (\\Seen)", "SEARCH %", "COPY % Trash"]))  # fmt: skip
    def work_while_another_expunges(self, who: int, other: int, place: float, command: str) -> None:
        self.act(other, 1 - place, "STORE % +FLAGS (\\Deleted)", with_uid=False)
        self.runner.run(self.mirrors[other].say(b"EXPUNGE"))
        self.act(who, place, command, with_uid=False)

    @rule(who=who, place=place, with_uid=st.booleans())
    def move(self, who: int, place: float, with_uid: bool) -> None:
        self.act(who, place, "MOVE % Archive", with_uid)

    @rule(who=who, place=place, with_uid=st.booleans())
    def copy_onto_itself(self, who: int, place: float, with_uid: bool) -> None:
        self.act(who, place, "COPY % INBOX", with_uid)

    @rule(who=who, command=st.sampled_from([b"NOOP", b"EXPUNGE", b"SEARCH ALL", b"CHECK",
          b"UID SEARCH DELETED", b"FETCH 1:* (UID)", b"UID FETCH 1:* (UID MODSEQ)"]))  # fmt: skip
    def do(self, who: int, command: bytes) -> None:
        if not self.mirrors[who].uids and command.startswith(b"FETCH"):
            return
        self.runner.run(self.mirrors[who].say(command))

    @rule(who=who)
    def append(self, who: int) -> None:
        self.runner.run(self.mirrors[who].say(b"APPEND INBOX {9+}\r\nA: b\r\n\r\nc"))

    @rule(who=who)
    def idle(self, who: int) -> None:
        self.runner.run(self.mirrors[who].start_idling())

    @rule(who=who)
    def compare(self, who: int) -> None:
        """Once a client has caught up, it believes what is there."""
        self.runner.run(self.check(self.mirrors[who]))

    async def check(self, mirror: Mirror) -> None:
        await mirror.catch_up()
        mailbox = self.rig.cell.open(ref_of(self.rig.anna))
        snapshot = mailbox.snapshot("INBOX")
        names = (*SYSTEM_FLAGS, *snapshot.keywords)
        there = {
            uid: {name for place, name in enumerate(names) if flags >> place & 1}
            for uid, flags, _ in snapshot.rows
        }
        assert mirror.uids == list(there)
        assert mirror.flags == list(there.values())

    def teardown(self) -> None:
        async def end() -> None:
            try:
                for mirror in self.mirrors:
                    await self.check(mirror)
            finally:
                for mirror in self.mirrors:
                    mirror.client.close()
                await self.stack.aclose()

        try:
            self.runner.run(end())
        finally:
            self.runner.close()
            self.directory.cleanup()


TestSessions = Sessions.TestCase
TestSessions.settings = settings(
    max_examples=30,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
