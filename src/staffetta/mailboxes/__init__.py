"""The mailbox store: one database file per mailbox, in the directory of its cell."""
