"""Whether small jobs come out right: `make quality`."""
