"""Chance. Everything that must be unguessable or unlike its neighbours comes from here."""

from __future__ import annotations

import secrets
from typing import Protocol


class Entropy(Protocol):
    """A source of random bytes; a simulator puts a seeded one in its place."""

    def token(self, size_bytes: int) -> bytes:
        """That many unpredictable bytes."""
        ...


class SystemEntropy:
    """The operating system's generator."""

    def token(self, size_bytes: int) -> bytes:
        return secrets.token_bytes(size_bytes)
