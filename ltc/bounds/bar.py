"""A sign of life while a rate-distortion function is computed."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

__all__ = ["ProgressBar"]


class ProgressBar:
    """A bar that comes after a second and goes when a bracket is done; in a file, lines.

    Arguments:
        console: where to draw; None: standard error.
        interval: seconds between lines where the console is no terminal.

    Example:
        >>> bar = ProgressBar(Console(stderr=True), interval=0.0)
        >>> bar("slope 2", 0.5)  # a line on standard error
        >>> bar("done", 1.0)
    """

    def __init__(self, console: Console | None = None, interval: float = 10.0) -> None:
        self.console = console or Console(stderr=True)
        self.interval = interval
        self.since = time.monotonic()
        self.bar: Progress | None = None
        self.task = TaskID(0)

    def __call__(self, text: str, share: float) -> None:
        """Show how far the work has come."""
        if share >= 1:
            if self.bar is not None:
                self.bar.stop()
            self.bar, self.since = None, time.monotonic()
            return
        waited = time.monotonic() - self.since
        if not self.console.is_terminal:
            if waited >= self.interval:
                self.console.print(f"R(D): {text}", markup=False, highlight=False)
                self.since = time.monotonic()
            return
        if self.bar is None and waited > 1:
            columns = (TextColumn("R(D)"), BarColumn(30), TimeElapsedColumn())
            text_column = TextColumn("{task.description}", markup=False)
            self.bar = Progress(*columns, text_column, console=self.console, transient=True)
            self.task = self.bar.add_task(text, total=1.0)
            self.bar.start()
        if self.bar is not None:
            self.bar.update(self.task, description=text, completed=share)
