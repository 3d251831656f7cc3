"""The choice of the predictions whose accuracy is judged.

People label audits days after the predictions were made. So the newest window often has no label
yet: then the newest one that has is judged, together with the windows before it if it has too few.
Each check looks at the last windows again, so late labels count when they come.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

WINDOWS = 8
"""How many windows a check looks at: the newest, and those before it."""


@dataclass(frozen=True)
class Window:
    """A span of time: `since` is inclusive, `until` exclusive."""

    since: datetime
    until: datetime

    def __contains__(self, time: datetime) -> bool:
        return self.since <= time < self.until


def windows_before(now: datetime, length: timedelta) -> list[Window]:
    """Return the windows that a check looks at, the newest first."""
    return [Window(now - (age + 1) * length, now - age * length) for age in range(WINDOWS)]


def choose(windows: list[Window], times: Iterable[datetime], fewest: int) -> list[Window]:
    """Return the windows to judge: the newest with a label, and older ones until it is enough.

    Args:
        windows: the newest first.
        times: when the predictions with a label were made.
        fewest: how many labels are enough.

    Returns:
        Neighboring windows, the newest first; the newest window if there is no label.
    """
    counts = Counter(next((w for w in windows if time in w), None) for time in times)
    labeled = [number for number, window in enumerate(windows) if counts[window]]
    if not labeled:
        return windows[:1]
    first, found = labeled[0], 0
    for last in range(first, labeled[-1] + 1):
        found += counts[windows[last]]
        if found >= fewest:
            break
    return windows[first : last + 1]
