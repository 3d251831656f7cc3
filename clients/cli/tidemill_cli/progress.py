"""Progress of work: bars on a terminal, a line every few seconds elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from tidemill_cli.output import say, stderr
from tidemill_core.shown import shown

_LINE_EVERY_SECONDS = 5.0

ShowProgress = Callable[[str, float, str], None]
"""A function of the work's name, the fraction done in [0, 1], and the current step."""


@contextmanager
def progress_view() -> Iterator[ShowProgress]:
    """Show the progress of the work in the block on stderr."""
    if not sys.stderr.isatty():
        yield _ProgressLines().show
        return
    columns = (
        TextColumn("{task.fields[name]}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=stderr(), transient=True) as progress:
        yield _Bars(progress).show


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[str, TaskID] = {}

    def show(self, name: str, fraction: float, message: str) -> None:
        if name not in self._bars:
            self._bars[name] = self._progress.add_task("", total=1.0, name=shown(name))
        bar = self._bars[name]
        self._progress.update(bar, completed=fraction, description=shown(message))


class _ProgressLines:
    def __init__(self) -> None:
        self._last: dict[str, tuple[float, str]] = {}

    def show(self, name: str, fraction: float, message: str) -> None:
        """Print a line when it has changed, at most every few seconds."""
        now = time.monotonic()
        line = f"{name}: {100 * fraction:.0f} % {message}"
        before, shown = self._last.get(name, (float("-inf"), ""))
        if line != shown and now - before >= _LINE_EVERY_SECONDS:
            self._last[name] = now, line
            say(line)
