"""Signs of life of what takes longer than a few seconds."""

import threading
import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

__all__ = ["Progress", "ProgressBar"]


class Progress:
    """What is going on: a live line on a terminal, a line every ten seconds elsewhere.

    It goes on by itself, also while nothing calls `update`.

    Arguments:
        what: what is going on.
        total: steps in all; None: not known.
        every: seconds between lines where there is no terminal.
        console: where it is shown; None: standard error.

    Example:
        >>> with Progress("training", total=10) as progress:
        ...     progress.update(5, "rate 1.8")
    """

    def __init__(
        self,
        what: str,
        total: int | None = None,
        every: float = 10.0,
        console: Console | None = None,
    ) -> None:
        self.what = what
        self.total = total
        self.every = every
        self.console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._completed, self._status = 0, ""
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        """Show it."""
        self._began = time.monotonic()
        if self.console.is_terminal:
            counts = [] if self.total is None else [BarColumn(bar_width=30), MofNCompleteColumn()]
            columns = [TextColumn(self.what), *counts, TimeElapsedColumn()]
            self._bar = Bar(
                *columns, TextColumn("{task.fields[status]}"), transient=True, console=self.console
            )
            self._task = self._bar.add_task(self.what, total=self.total, status="")
            self._bar.start()
        else:
            self._thread = threading.Thread(target=self._report, daemon=True)
            self._thread.start()
        return self

    def update(self, completed: int = 0, status: str = "") -> None:
        """Say how far it is.

        Arguments:
            completed: steps done.
            status: what else there is to say.
        """
        self._completed, self._status = completed, status
        if self._bar is not None:
            self._bar.update(self._task, completed=completed, status=status)

    def __exit__(self, *error: object) -> None:
        """Remove it, and give the terminal its cursor back; a second time does nothing."""
        self._ended.set()
        if self._bar is not None:
            self._bar.stop()
        if self._thread is not None:
            self._thread.join()

    def _report(self) -> None:
        while not self._ended.wait(self.every):
            count = "" if self.total is None else f" {self._completed}/{self.total}"
            seconds = time.monotonic() - self._began
            self.console.print(f"{self.what}{count}, {seconds:.0f} s  {self._status}".rstrip())


class ProgressBar:
    """Progress on a rate-distortion function: after a second of work, until a bracket is done.

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
