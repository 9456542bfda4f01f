"""Plays every dialog in `smtp/` against the machine: each step in one read, and octet by octet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from staffetta.protocols.smtp import SmtpServer
from tests.dialogs.smtp_dialog import Step, describe, matches, read_dialog, read_reply
from tests.smtp_door import ScriptedDoor

FOLDER = Path(__file__).parent / "smtp"
DIALOGS = sorted(FOLDER.glob("*.dlg"))


def in_one_read(octets: bytes) -> Iterator[bytes]:
    if octets:
        yield octets


def octet_by_octet(octets: bytes) -> Iterator[bytes]:
    for at in range(len(octets)):
        yield octets[at : at + 1]


_DOOR_MOVES: dict[str, Callable[[SmtpServer, str], None]] = {
    "greet": lambda machine, words: machine.greet(),
    "turn away": lambda machine, words: machine.turn_away(read_reply(words), "decision"),
    "accept": lambda machine, words: machine.accept_message(words),
    "refuse": lambda machine, words: machine.refuse(read_reply(words), "decision"),
    "tls started": lambda machine, words: machine.tls_started(),
    "time out": lambda machine, words: machine.time_out(),
    "shut down": lambda machine, words: machine.shut_down(),
    "peer gone": lambda machine, words: machine.peer_gone(),
}


def _make_move(machine: SmtpServer, text: str) -> None:
    for name, move in _DOOR_MOVES.items():
        if text == name or text.startswith(f"{name} "):
            move(machine, text.removeprefix(name).strip())
            return
    raise AssertionError(f"the door cannot {text}")


def _play(step: Step, door: ScriptedDoor, cut: Callable[[bytes], Iterator[bytes]]) -> None:
    events_before, messages_before = len(door.events), len(door.messages)
    if step.move:
        _make_move(door.machine, step.move)
    said = (door.go_on() + door.feed_all(cut(step.octets))).decode()
    assert not said or said.endswith("\r\n")
    lines = said.split("\r\n")[:-1]
    expected = step.replies
    assert len(lines) == len(expected), f"said {lines}, expected {expected}"
    for line, pattern in zip(lines, expected, strict=True):
        assert matches(pattern, line), f"said {line!r}, expected {pattern!r}"
    told = [describe(event) for event in door.events[events_before:]]
    rest = iter(told)
    for pattern in step.events:
        assert any(matches(pattern, text) for text in rest), f"told {told}, expected {pattern!r}"
    if step.message is not None:
        (message,) = door.messages[messages_before:]
        text = "".join(f"{line}\r\n" for line in step.message)
        assert message.body == text.encode()


@pytest.mark.parametrize("cut", [in_one_read, octet_by_octet])
@pytest.mark.parametrize("path", DIALOGS, ids=lambda path: path.stem)
def test_dialog(path: Path, cut: Callable[[bytes], Iterator[bytes]]) -> None:
    dialog = read_dialog(path)
    door = ScriptedDoor(SmtpServer(dialog.settings), dialog.decisions)
    first = dialog.steps[0]
    if first.replies and not first.octets:
        door.machine.greet()
    for step in dialog.steps:
        try:
            _play(step, door, cut)
        except AssertionError as error:
            raise AssertionError(f"{path.name}, step at line {step.line}: {error}") from error


def test_there_are_dialogs() -> None:
    assert len(DIALOGS) > 40
