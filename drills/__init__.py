"""Drills: break a running service on purpose, under load, and count what became of each message."""
