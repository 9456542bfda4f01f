"""What happened, in order, durably: the acceptance log."""
