"""Password hashes: Argon2id (RFC 9106), in the usual `$argon2id$…` text form."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from staffetta.directory.refusals import DirectoryRefusal, RefusalCode

PASSWORD_BYTES_MIN = 8
PASSWORD_BYTES_MAX = 1_024
# What somebody else's hash may ask of this machine.
MEMORY_KIB_MAX = 1 << 20
TIME_COST_MAX = 64


@dataclass(frozen=True, slots=True)
class HashParameters:
    """What one guess costs. The defaults take some 20 ms and 19 MiB (OWASP's second choice)."""

    time_cost: int = 2
    memory_kib: int = 19_456
    parallelism: int = 1


class PasswordHasher:
    """Makes and checks hashes. Both block for as long as the parameters say."""

    __slots__ = ("_argon2",)

    def __init__(self, parameters: HashParameters | None = None) -> None:
        chosen = parameters or HashParameters()
        self._argon2 = argon2.PasswordHasher(
            time_cost=chosen.time_cost,
            memory_cost=chosen.memory_kib,
            parallelism=chosen.parallelism,
            type=argon2.Type.ID,
        )

    def make(self, password: str) -> str:
        """A new hash with a salt of its own. The length is for `check_acceptable`."""
        return self._argon2.hash(password_bytes(password))

    def matches(self, password_hash: str, password: str) -> bool:
        """Is it the password of that hash? False, too, for a hash that is none."""
        try:
            return self._argon2.verify(password_hash, password_bytes(password))
        except (VerificationError, InvalidHashError):
            return False

    def is_outdated(self, password_hash: str) -> bool:
        """Was it made with other parameters than are asked for now?"""
        return self._argon2.check_needs_rehash(password_hash)


def password_bytes(password: str) -> bytes:
    """The password as it is hashed: composed (RFC 8265 4.2.2), UTF-8.

    Bytes that were not UTF-8, decoded with `surrogateescape`, come out as they were.
    """
    if not password.isascii():
        password = unicodedata.normalize("NFC", password)
    try:
        return password.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate that stands for no byte
        return password.encode("utf-8", "surrogatepass")


def check_acceptable(password: str) -> None:
    """May it be chosen? Raises `DirectoryRefusal`. Only its length is judged here."""
    if not PASSWORD_BYTES_MIN <= len(password_bytes(password)) <= PASSWORD_BYTES_MAX:
        raise DirectoryRefusal(
            RefusalCode.PASSWORD_INVALID,
            bytes_min=PASSWORD_BYTES_MIN,
            bytes_max=PASSWORD_BYTES_MAX,
        )


def is_password_hash(text: str) -> bool:
    """Is it an Argon2id hash that this machine is willing to check?"""
    if not text.isascii() or len(text) > 256:
        return False
    try:
        found = argon2.extract_parameters(text)
    except (InvalidHashError, ValueError):
        return False
    return (
        found.type is argon2.Type.ID
        and 8 <= found.memory_cost <= MEMORY_KIB_MAX
        and 1 <= found.time_cost <= TIME_COST_MAX
    )
