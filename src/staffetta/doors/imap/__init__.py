"""IMAP over the network."""
