"""The lattices, one family to a file."""
