"""From the log to the mailboxes: checkpointed readers, one per cell."""
