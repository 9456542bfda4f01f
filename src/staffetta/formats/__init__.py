"""Messages as bytes: MIME structure, header fields, addresses, dates, IMAP wire forms.

Pure functions over `bytes`; nothing here reads a clock, a disk or a socket.
"""
