"""`python -m minikin` is the `minikin` command."""

from minikin.cli import main

main()
