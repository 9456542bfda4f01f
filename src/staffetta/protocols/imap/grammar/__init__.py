"""The grammar, one file for each family of commands; `parser` puts them together."""
