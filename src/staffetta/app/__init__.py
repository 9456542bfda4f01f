"""Configuration, wiring, roles and the command line."""
