"""The one exception that means: what the user handed in cannot be used."""

__all__ = ["InputError"]


class InputError(ValueError):
    """Bad input: the message says what was got, what was expected and what to do.

    The commands print the message alone and exit with code 2.
    """
