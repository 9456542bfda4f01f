"""Staffetta: a mail provider that keeps accepting mail while its mailbox store is down."""
