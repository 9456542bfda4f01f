"""Staffetta: a mail provider that keeps accepting mail while its mailbox store is down."""

__version__ = "0.1.0"
