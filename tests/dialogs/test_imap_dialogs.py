"""Every dialog in `imap/` is held with the door, line by line."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from staffetta.mailboxes.access import CellState
from staffetta.runtime.faults import FaultMode
from tests.dialogs.imap_dialog import Do, Hear, Say, read_dialog
from tests.imap_rig import IMPATIENT, PATIENCE_S, PATIENT, Client, Rig, open_rig

DIALOGS = sorted((Path(__file__).parent / "imap").glob("*.dlg"))


class Stage:
    """Where a dialog is held."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.clients: dict[str, Client] = {}
        self.last: dict[str, bytes] = {}

    async def play(self, path: Path) -> None:
        """Hold the whole dialog."""
        steps = read_dialog(path)
        await self.connect("")
        for place, step in enumerate(steps):
            where = f"{path.name}:{step.line}"
            match step:
                case Say(who=who, octets=octets):
                    following = steps[place + 1] if place + 1 < len(steps) else None
                    if isinstance(following, Say) and following.who == who:
                        self.last[who] = self.last.get(who, b"") + octets
                    else:
                        await self.expect_silence(where)
                        self.clients[who].send(self.last.pop(who, b"") + octets)
                case Hear():
                    await self.hear(step, where)
                case Do():
                    await self.expect_silence(where)
                    await self.do(step, where)
        await self.expect_silence(f"{path.name}: end")

    async def hear(self, step: Hear, where: str) -> None:
        client = self.clients[step.who]
        try:
            line = await client.read_line()
            while step.may_repeat and step.matches(line):
                line = await client.read_line()
        except (TimeoutError, EOFError) as error:
            pytest.fail(f"{where}: expected {step.pattern!r}, heard nothing ({error!r})")
        if step.may_repeat:
            client.transport.written[:0] = line + b"\r\n"
        elif not step.matches(line):
            pytest.fail(f"{where}: expected {step.pattern!r}, heard {line!r}")

    async def expect_silence(self, where: str) -> None:
        """Nobody has heard anything that the dialog does not have."""
        for who, client in self.clients.items():
            await client.settle()
            written = bytes(client.transport.written)
            assert not written, f"{where}: {who or 'the client'} also heard {written!r}"

    async def connect(self, who: str, peer: str = "127.0.0.1", is_secure: bool = False) -> None:
        self.clients[who] = self.rig.connect(peer, is_secure)
        await self.clients[who].read_line()

    async def do(self, step: Do, where: str) -> None:
        rig = self.rig
        match step.words:
            case ["connect", who, *how]:
                remote = "remote" in how
                await self.connect(who, "192.0.2.1" if remote else "127.0.0.1", "secure" in how)
            case ["sign", "in", *who]:
                lines = await self.clients["".join(who)].command(
                    b'in LOGIN anna@libero.example "correct horse"'
                )
                assert lines[-1].startswith(b"in OK"), f"{where}: {lines}"
            case ["select", folder, *who]:
                lines = await self.clients["".join(who)].command(b"se SELECT " + folder.encode())
                assert lines[-1].startswith(b"se OK"), f"{where}: {lines}"
            case ["deliver"]:
                await rig.deliver(step.content)
            case ["break", mode]:
                rig.volume.gate.break_(FaultMode(mode))
            case ["noticed"]:
                await rig.reach(CellState.DOWN)
            case ["mend"]:
                await rig.mend_cell()
            case ["minutes", count]:
                rig.clock.at_s += 60 * float(count)
                rig.hall.sweep()
            case ["suspend"]:
                rig.passwords.suspend("anna@libero.example")
            case ["directory", state]:
                rig.passwords.unsure = state == "down"
            case ["gone", *who]:
                self.clients.pop("".join(who)).close()
            case ["closed", *who]:
                await self.expect_closed("".join(who), where)
            case _:
                pytest.fail(f"{where}: nobody knows how to do {' '.join(step.words)!r}")

    async def expect_closed(self, who: str, where: str) -> None:
        client = self.clients.pop(who)
        async with asyncio.timeout(PATIENCE_S):
            await client.settle()
        assert client.transport.is_closed, f"{where}: still open"


@pytest.mark.parametrize("path", DIALOGS, ids=lambda path: path.stem)
def test_dialog(path: Path, tmp_path: Path) -> None:
    async def hold() -> None:
        access = IMPATIENT if "hang" in path.stem else PATIENT
        async with open_rig(tmp_path, access=access) as rig:
            await Stage(rig).play(path)

    asyncio.run(hold())


def test_there_are_dialogs() -> None:
    assert DIALOGS
