"""`python -m workers.cli`: the command, run by a chosen interpreter."""

from workers.cli.main import main

main()
