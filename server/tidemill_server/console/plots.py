"""Plots as SVG, made by the server: they need no script, and follow the page's colors."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from markupsafe import Markup, escape

_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 8, 16, 22


class Point(NamedTuple):
    """A value at a time, with its interval.

    Attributes:
        time: when it was measured.
        value: the value.
        low: the interval's lower end; the value if it has no interval.
        high: its upper end.
        title: what is shown to those who point at it.
        is_bad: whether it broke its limit.
    """

    time: datetime
    value: float
    low: float
    high: float
    title: str
    is_bad: bool = False


class Bar(NamedTuple):
    """A share of two groups, such as a label's share of the reference and of the window."""

    name: str
    reference: float
    window: float


def line(
    points: Sequence[Point], label: str, limit: float | None = None, is_share: bool = True
) -> Markup:
    """Return values over time with their intervals; nothing without values.

    Args:
        points: the values, oldest first.
        label: what it shows, for those who cannot see it.
        limit: a value that is drawn across.
        is_share: whether the axis is in percent.
    """
    if not points:
        return Markup("")
    width, height = 640, 180
    lows = [p.low for p in points] + ([limit] if limit is not None else [])
    highs = [p.high for p in points] + ([limit] if limit is not None else [])
    bottom, top = _rounded(min(lows), max(highs), is_share)
    first, last = points[0].time.timestamp(), points[-1].time.timestamp()

    def x(time: datetime) -> float:
        share = (time.timestamp() - first) / (last - first) if last > first else 0.5
        return _LEFT + share * (width - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _TOP + (top - value) / (top - bottom) * (height - _TOP - _BOTTOM)

    parts = [_axis(bottom, top, y, width, is_share), _times(points, x, height)]
    outline = [f"{x(p.time):.1f},{y(p.high):.1f}" for p in points]
    outline += [f"{x(p.time):.1f},{y(p.low):.1f}" for p in reversed(points)]
    parts.append(f'<polygon class="band" points="{" ".join(outline)}"/>')
    path = " ".join(f"{x(p.time):.1f},{y(p.value):.1f}" for p in points)
    parts.append(f'<polyline class="line" points="{path}"/>')
    if limit is not None:
        parts.append(
            f'<line class="limit" x1="{_LEFT}" x2="{width - _RIGHT}" '
            f'y1="{y(limit):.1f}" y2="{y(limit):.1f}"/>'
        )
    parts += [_dot(p, x(p.time), y(p.value)) for p in points]
    return _svg(width, height, label, parts, "plot")


def spark(values: Sequence[float], label: str) -> Markup:
    """Return a small line without axes; nothing for fewer than two values."""
    if len(values) < 2:
        return Markup("")
    width, height, low, high = 120, 28, min(values), max(values)
    span = (high - low) or 1.0
    step = width / (len(values) - 1)
    path = " ".join(
        f"{i * step:.1f},{2 + (high - each) / span * (height - 4):.1f}"
        for i, each in enumerate(values)
    )
    return _svg(width, height, label, [f'<polyline class="line" points="{path}"/>'], "spark")


def bars(shares: Sequence[Bar], label: str) -> Markup:
    """Return two bars for each name: its share of the reference, and of the window."""
    if not shares:
        return Markup("")
    width, row, left = 640, 26, 210
    most = max(max(each.reference, each.window) for each in shares) or 1.0
    parts = []
    for i, each in enumerate(shares):
        name = each.name if len(each.name) <= 22 else f"{each.name[:21]}…"
        top = i * row
        parts.append(f'<text class="name" x="{left - 8}" y="{top + 16}">{escape(name)}</text>')
        pair = ((4, each.reference, "bar-before"), (13, each.window, "bar-now"))
        for offset, share, kind in pair:
            parts.append(
                f'<rect class="{kind}" x="{left}" y="{top + offset}" height="8" '
                f'width="{(width - left - 60) * share / most:.1f}">'
                f"<title>{escape(each.name)}: {share:.1%}</title></rect>"
            )
        end = left + (width - left - 60) * max(each.reference, each.window) / most + 6
        parts.append(f'<text class="figure" x="{end:.0f}" y="{top + 16}">{each.window:.1%}</text>')
    return _svg(width, row * len(shares) + 4, label, parts, "plot")


def share(value: float, label: str, low: float | None = None, high: float | None = None) -> Markup:
    """Return a share of a whole as a bar, with a whisker for its interval."""
    value = min(max(value, 0.0), 1.0)
    parts = [
        '<rect class="track" width="100" height="6" y="2" rx="3"/>',
        f'<rect class="fill" width="{100 * value:.2f}" height="6" y="2" rx="3"/>',
    ]
    if low is not None and high is not None:
        left, right = 100 * max(low, 0.0), 100 * min(high, 1.0)
        parts.append(f'<line class="whisker" x1="{left:.2f}" x2="{right:.2f}" y1="5" y2="5"/>')
    return _svg(100, 10, label, parts, "share")


def _rounded(low: float, high: float, is_share: bool) -> tuple[float, float]:
    """Return an axis's ends, a little outside of the values."""
    if not is_share:
        return 0.0, high * 1.1 or 1.0
    room = max((high - low) * 0.1, 0.005)
    return max(low - room, 0.0), min(high + room, 1.0)


def _axis(
    bottom: float, top: float, y: Callable[[float], float], width: int, is_share: bool
) -> str:
    parts = []
    for part in range(4):
        value = bottom + (top - bottom) * part / 3
        at = y(value)
        text = f"{value:.1%}" if is_share else f"{value:,.2g}"
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{width - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
            f'<text class="tick end" x="{_LEFT - 6}" y="{at + 4:.1f}">{text}</text>'
        )
    return "".join(parts)


def _times(points: Sequence[Point], x: Callable[[datetime], float], height: int) -> str:
    ends = [points[0], points[-1]] if len(points) > 1 else [points[0]]
    anchors = ("start", "end") if len(points) > 1 else ("middle",)
    return "".join(
        f'<text class="tick {anchor}" x="{x(each.time):.1f}" y="{height - 5}">'
        f"{each.time:%b %d, %H:%M}</text>"
        for each, anchor in zip(ends, anchors, strict=True)
    )


def _dot(point: Point, x: float, y: float) -> str:
    kind = "dot bad" if point.is_bad else "dot"
    title = escape(point.title)
    return (
        f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"><title>{title}</title></circle>'
    )


def _svg(width: int, height: int, label: str, parts: Sequence[str], kind: str) -> Markup:
    stretch = ' preserveAspectRatio="none"' if kind == "share" else ""
    return Markup(  # noqa: S704 -- its parts are numbers and escaped texts
        f'<svg class="{kind}" viewBox="0 0 {width} {height}" role="img"{stretch}'
        f' aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )
