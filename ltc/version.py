"""The version; in a module of its own so that modules below `ltc` itself can have it."""

__all__ = ["__version__"]

__version__ = "0.1.0"
