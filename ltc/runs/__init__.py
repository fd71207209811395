"""A run from its configuration: build, train, evaluate, record, load."""
