"""SMTP and LMTP over the network."""
