"""The dialog language for IMAP: what clients say, what the door must answer.

    # a comment
    == deliver                  a message for anna's INBOX, made of the lines behind it
    | Subject: ciao             that begin with a bar
    == break hang               anna's cell is broken in that way; nobody has noticed yet
    == noticed                  now the door has
    == mend                     mended, and the door has noticed
    == minutes 31               so much time passes
    == suspend / directory down / directory up
    == connect NAME [secure|remote]   another client, called NAME
    == gone [NAME]              the client leaves without a word
    == closed [NAME]            the door has closed the connection
    C: text                     the client sends the line; several in a row go in one piece
    C| text                     the client sends just this; \\r \\n are octets
    S: text                     the door answers this line; … stands for anything
    S? text                     zero or more lines like this
    NAME C: text                the same for the client NAME; the first has no name

A dialog begins with a client that has been greeted; `== sign in [NAME]` and
`== select FOLDER [NAME]` spare the lines that every dialog would repeat.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_SPEECH = re.compile(r"(?:(?P<who>\w+) )?(?P<kind>[CS][:|?])(?: (?P<text>.*))?")


@dataclass(frozen=True)
class Say:
    """A client sends octets."""

    line: int
    who: str
    octets: bytes


@dataclass(frozen=True)
class Hear:
    """A client must get this line."""

    line: int
    who: str
    pattern: str
    may_repeat: bool = False

    def matches(self, heard: bytes) -> bool:
        """Is it what was expected?"""
        parts = (re.escape(part) for part in self.pattern.split("…"))
        text = heard.decode("utf-8", "backslashreplace")
        return re.fullmatch(".*".join(parts), text) is not None


@dataclass(frozen=True)
class Do:
    """Something happens around the door."""

    line: int
    words: tuple[str, ...]
    content: bytes = b""


Step = Say | Hear | Do


def read_dialog(path: Path) -> list[Step]:
    """The steps of a file, in order."""
    steps: list[Step] = []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not text.strip() or text.startswith("#"):
            continue
        if text.startswith("== "):
            steps.append(Do(number, tuple(text[3:].split())))
        elif text.startswith("|"):
            last = steps.pop()
            assert isinstance(last, Do), f"{path.name}:{number}: a bar without ==="
            steps.append(Do(last.line, last.words, last.content + text[2:].encode() + b"\r\n"))
        else:
            steps.append(_read_speech(path, number, text))
    return steps


def _read_speech(path: Path, number: int, text: str) -> Step:
    found = _SPEECH.fullmatch(text)
    assert found is not None, f"{path.name}:{number}: not a line of a dialog: {text}"
    who, words = found["who"] or "", found["text"] or ""
    match found["kind"]:
        case "C:":
            return Say(number, who, words.encode() + b"\r\n")
        case "C|":
            octets = words.replace(r"\r", "\r").replace(r"\n", "\n")
            return Say(number, who, octets.encode())
        case kind:
            return Hear(number, who, words, may_repeat=kind == "S?")
