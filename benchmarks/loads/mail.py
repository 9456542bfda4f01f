"""Mail made up from a seed: the same for every server and in every run."""

from __future__ import annotations

import random
from dataclasses import dataclass

SEED = 20_230_122
SIZE_BYTES = 4096
LINE_WORDS = 12
VOCABULARY_WORDS = 4000
MULTIPART_EVERY = 4
SYLLABLES = (
    *("ba", "ce", "di", "fo", "gu", "la", "me", "ni", "po", "ru", "sa", "te"),
    *("vi", "zo", "tra", "sche", "glio", "qua", "stru", "per", "con", "men"),
)
# Neither can be composed of the syllables above.
RARE_WORD = "zephyranthes"
ABSENT_WORD = "wykeham"
RARE_POSITION = 0.61


@dataclass(frozen=True, slots=True)
class Letter:
    """One message: who sent it, and its bytes with CRLF and without dot-stuffing."""

    sender: str
    content: bytes


def write_letters(count: int, recipient: str) -> list[Letter]:
    """``count`` letters of about 4 KiB with subjects, senders, dates and words of their own.

    Exactly one of them contains :data:`RARE_WORD`, none :data:`ABSENT_WORD`.
    """
    chance = random.Random(SEED)
    words = [
        "".join(chance.choices(SYLLABLES, k=chance.randint(2, 4))) for _ in range(VOCABULARY_WORDS)
    ]
    rare = int(count * RARE_POSITION)
    return [
        _write_letter(chance, words, number, recipient, RARE_WORD if number == rare else "")
        for number in range(count)
    ]


def _write_letter(
    chance: random.Random, words: list[str], number: int, recipient: str, extra: str
) -> Letter:
    name = " ".join(word.capitalize() for word in chance.choices(words, k=2))
    sender = f"{chance.choice(words)}.{number}@{chance.choice(words)}.example"
    subject = " ".join(chance.choices(words, k=6))
    minute, hour, day = number % 60, number // 60 % 24, 1 + number // 1440 % 28
    head = [
        f"From: {name} <{sender}>",
        f"To: <{recipient}>",
        f"Subject: {number} {subject}",
        f"Date: {day:02d} Mar 2025 {hour:02d}:{minute:02d}:00 +0100",
        f"Message-ID: <{number}.{chance.getrandbits(64):x}@sender.example>",
        "MIME-Version: 1.0",
    ]
    if number % MULTIPART_EVERY:
        head.append("Content-Type: text/plain; charset=utf-8")
        lines = [*head, "", extra, *_write_text(chance, words, SIZE_BYTES)]
    else:
        lines = [*head, *_write_parts(chance, words, number, extra)]
    return Letter(sender, "\r\n".join(lines).encode() + b"\r\n")


def _write_text(chance: random.Random, words: list[str], size_bytes: int) -> list[str]:
    lines: list[str] = []
    while size_bytes > 0:
        line = " ".join(chance.choices(words, k=LINE_WORDS))
        lines.append(line)
        size_bytes -= len(line) + 2
    return lines


def _write_parts(chance: random.Random, words: list[str], number: int, extra: str) -> list[str]:
    boundary = f"part-{number}"
    half = SIZE_BYTES // 2
    return [
        f'Content-Type: multipart/alternative; boundary="{boundary}"',
        "",
        f"--{boundary}",
        "Content-Type: text/plain; charset=utf-8",
        "",
        extra,
        *_write_text(chance, words, half),
        f"--{boundary}",
        "Content-Type: text/html; charset=utf-8",
        "",
        *(f"<p>{line}</p>" for line in _write_text(chance, words, half)),
        f"--{boundary}--",
    ]
