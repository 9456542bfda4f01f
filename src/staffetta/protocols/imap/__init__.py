"""IMAP4rev1, the server's side, sans-IO (RFC 3501 and extensions).

How a door uses it, module by module:

- `frames`: `ImapReceiver` takes bytes and gives one event at a time (a `CommandFrame`, a
  `LiteralWanted` to be answered `+ OK`, a `ContinuationLine` after `expect_line()`, a
  `FrameError`).
- `parser`: `parse_command(frame)` gives one of `commands.Command` or a `commands.BadCommand`.
- `states`: which command is allowed when, and when EXPUNGE may be announced.
- `sequence`, `mailbox_names`: sets of messages, names of mailboxes, LIST patterns.
- `responses`, `codes`, `listings`, `fetch_lines`, `quoting`: bytes to send.
"""
