"""The servers that stand beside Staffetta, each from a private configuration on loopback."""
