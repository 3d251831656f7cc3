"""Charts of accuracy over time, as SVG."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from tidemill_cli.html_page import text

_WIDTH, _HEIGHT = 960, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 8, 12, 28
_MOST_TICKS = 10
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2)

LOOP, FROZEN = "var(--bar)", "#b35900"
"""The colors of the running system and of the first version alone."""

Point = tuple[datetime, float]


@dataclass(frozen=True)
class Axes:
    """The axes of a chart: time, and accuracy in [0, 1]."""

    start: datetime
    end: datetime
    low: float
    high: float

    @classmethod
    def around(cls, points: Sequence[Point], end: datetime) -> "Axes":
        """Return axes that show all points, up to the time `end`."""
        values = [value for _, value in points]
        low = max(math.floor(20 * min(values)) / 20, 0.0)
        high = min(math.ceil(20 * max(values)) / 20, 1.0)
        if high - low < 0.1:
            low, high = max(high - 0.1, 0.0), max(high, 0.1)
        start = min(moment for moment, _ in points)
        return cls(start, max(end, start + timedelta(hours=1)), low, high)

    def x(self, moment: datetime) -> float:
        """Return the horizontal place of a time."""
        share = (moment - self.start) / (self.end - self.start)
        return _LEFT + min(max(share, 0.0), 1.0) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        """Return the vertical place of an accuracy."""
        share = (value - self.low) / (self.high - self.low)
        return _HEIGHT - _BOTTOM - min(max(share, 0.0), 1.0) * (_HEIGHT - _TOP - _BOTTOM)

    def grid(self) -> Iterator[str]:
        """Yield the lines and the numbers of both axes."""
        step = next(s for s in _STEPS if (self.high - self.low) / s <= 6 or s == _STEPS[-1])
        for number in range(math.ceil(self.low / step - 1e-9), int(self.high / step + 1e-9) + 1):
            at = self.y(number * step)
            yield _line(_LEFT, at, _WIDTH - _RIGHT, at, "var(--line)")
            yield _label(_LEFT - 6, at + 4, f"{100 * number * step:.0f} %", "end")
        for moment, name in _ticks(self.start, self.end):
            at = self.x(moment)
            yield _line(at, _TOP, at, _HEIGHT - _BOTTOM, "var(--line)")
            yield _label(at, _HEIGHT - _BOTTOM + 18, name, "start" if at < 2 * _LEFT else "middle")


def chart(title: str, parts: Sequence[str]) -> str:
    """Return a chart from its parts; the title is for those who cannot see it."""
    style = "width:100%;height:auto;background:none;overflow:visible"
    return (
        f'<svg role="img" aria-label="{text(title)}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'style="{style}">{"".join(parts)}</svg>\n'
    )


def curve(axes: Axes, points: Sequence[Point], color: str) -> str:
    """Return a line through points."""
    places = " ".join(f"{axes.x(moment):.1f},{axes.y(value):.1f}" for moment, value in points)
    line = f'<polyline points="{places}" fill="none" stroke="{color}" stroke-width="2.5"/>'
    return line if len(points) > 1 else dot(axes, *points[0], color, "")


def dot(axes: Axes, moment: datetime, value: float, color: str, name: str) -> str:
    """Return a dot with a name that shows under the pointer."""
    place = f'cx="{axes.x(moment):.1f}" cy="{axes.y(value):.1f}"'
    return f'<circle {place} r="3.5" style="fill:{color}"><title>{text(name)}</title></circle>'


def span(axes: Axes, moment: datetime, low: float, high: float, color: str) -> str:
    """Return a vertical bar from `low` to `high`."""
    return _line(axes.x(moment), axes.y(low), axes.x(moment), axes.y(high), color, 3, 0.45)


def mark(axes: Axes, moment: datetime, color: str, name: str) -> str:
    """Return a mark at the bottom of the chart, with a name that shows under the pointer."""
    at, bottom = axes.x(moment), _HEIGHT - _BOTTOM
    corners = f"{at:.1f},{bottom - 9} {at - 5:.1f},{bottom} {at + 5:.1f},{bottom}"
    return f'<polygon points="{corners}" style="fill:{color}"><title>{text(name)}</title></polygon>'


def change(axes: Axes, moment: datetime, name: str) -> str:
    """Return a dashed line from top to bottom, with a name that shows under the pointer."""
    at = axes.x(moment)
    return (
        f'<line x1="{at:.1f}" y1="{_TOP}" x2="{at:.1f}" y2="{_HEIGHT - _BOTTOM}" '
        f'stroke="currentColor" stroke-opacity="0.5" stroke-dasharray="3 4">'
        f"<title>{text(name)}</title></line>"
    )


def _line(
    x1: float, y1: float, x2: float, y2: float, color: str, width: float = 1, opacity: float = 1
) -> str:
    place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {place} stroke="{color}" stroke-width="{width}" stroke-opacity="{opacity}"/>'


def _label(x: float, y: float, name: str, anchor: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} font-size="13" fill="currentColor">{text(name)}</text>'


def _ticks(start: datetime, end: datetime) -> Iterator[tuple[datetime, str]]:
    """Return the first days of months, quarters or years, or else single days, and their names."""
    days = [start + timedelta(days=number) for number in range((end - start).days + 1)]
    for months, name in ((1, "%b %Y"), (3, "%b %Y"), (12, "%Y")):
        found = [day for day in days if day.day == 1 and (day.month - 1) % months == 0]
        if 2 <= len(found) <= _MOST_TICKS:
            return ((day, day.strftime(name)) for day in found)
    every = max(math.ceil(len(days) / _MOST_TICKS), 1)
    return ((day, str(date(day.year, day.month, day.day))) for day in days[::every])
