"""`python -m staffetta`: the command line."""

from staffetta.app.cli import main

main()
