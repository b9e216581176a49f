"""`python -m bridge.cli`: the command line."""

from bridge.cli import main

main()
