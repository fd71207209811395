"""A sign of life while a rate-distortion function is computed."""

from __future__ import annotations

import time

from rich.console import Console

from ltc.progress import Progress

__all__ = ["ProgressBar"]


class ProgressBar:
    """Progress that comes after a second of work and goes when a bracket is done.

    Arguments:
        console: where to draw; None: standard error.

    Example:
        >>> bar = ProgressBar()
        >>> bar("slope 2", 0.5)  # too early to be seen
        >>> bar("done", 1.0)
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console, self.since = console, time.monotonic()
        self.shown: Progress | None = None

    def __call__(self, text: str, share: float) -> None:
        """Show how far the work has come; from share 1 on nothing."""
        if share >= 1:
            if self.shown is not None:
                self.shown.__exit__()
            self.shown, self.since = None, time.monotonic()
        elif self.shown is not None:
            self.shown.update(int(100 * share), text)
        elif time.monotonic() - self.since > 1:
            self.shown = Progress("R(D)", 100, console=self.console).__enter__()
