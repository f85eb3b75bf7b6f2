"""`python -m workers.cli`: the command, by whatever interpreter runs it."""

from workers.cli.main import main

main()
