"""What is thrown at a server: generated mail, SMTP senders, IMAP readers."""
