"""What clients and servers say to each other: sans-IO machines, bytes in and events out."""
