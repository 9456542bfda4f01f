"""Staffetta measured beside its peers: Postfix, Dovecot and a sink that stores nothing."""
