"""Results as tables, JSON, a plot and a page of the docs."""

import json
import math
import statistics
from dataclasses import asdict
from pathlib import Path
from string import Template

import matplotlib as mpl
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from bench.serving.load import Load
from bench.serving.machine import machine, versions
from bench.serving.measure import PROCESSES
from bench.serving.peer import ALL
from bench.serving.targets import Results, targets

DOCS = Path(__file__).parents[2] / "docs" / "benchmarks"
_PAGE = Path(__file__).parent / "serving.md.template"
_TITLES = {"triton": "Triton, ready ids", "tidemill": "Tidemill"} | {
    name: peer.title for name, peer in ALL.items()
}
_KINDS = {
    "unary": "Predict, 64 in flight",
    "stream": "StreamPredict, 4 streams",
    "batch": "BatchPredict of 64, 4 in flight",
    "one caller": "one caller",
}
_CALLED = {
    "closed 64": "64, closed loop",
    "closed 192": "192, closed loop",
    "open 70 %": "open loop, 70 %",
    "flood": "open loop, 3 x",
}
_LOAD_HEADER = (
    "load",
    "system",
    "processes",
    "rows/s",
    "spread",
    "p50 ms",
    "p99 ms",
    "refused",
)
_CALL_HEADER = (
    "callers", "workers", "calls/s", "answers/s", "p50 ms", "p99 ms",
    "refused p99 ms", "unanswered", "generator",
)  # fmt: skip
_TARGET_HEADER = ("figure", "target", "measured", "")

Rows = list[tuple[str, ...]]


def show(results: Results, console: Console) -> None:
    """Print all tables; a missed target is red."""
    tables = (
        (_LOAD_HEADER, load_rows(results)),
        (_CALL_HEADER, call_rows(results)),
        (_TARGET_HEADER, target_rows(results)),
    )
    for header, rows in tables:
        table = Table(*header)
        for row in rows:
            table.add_row(*row, style="red" if "SHORT" in row else None)
        console.print(table)


def load_rows(results: Results) -> Rows:
    """Return a row of medians for each system, kind of load and number of processes."""
    rows: Rows = []
    for kind, title in _KINDS.items():
        for system, name in _TITLES.items():
            for processes in (0, *PROCESSES):
                loads = results.loads(system, kind, processes)
                if not loads:
                    continue
                rates = [load.rows_per_second for load in loads]
                rows.append((
                    title, name, str(processes or ""), f"{statistics.median(rates):,.0f}",
                    f"{min(rates):,.0f} to {max(rates):,.0f}",
                    f"{statistics.median(load.p50_ms for load in loads):.1f}",
                    f"{statistics.median(load.p99_ms for load in loads):.1f}",
                    f"{max(load.refused for load in loads):.1%}",
                ))  # fmt: skip
    return rows


def call_rows(results: Results) -> Rows:
    """Return a row of medians for each kind of callers and number of workers."""
    rows: Rows = []
    for kind, title in _CALLED.items():
        for processes in PROCESSES:
            calls = results.calls("tidemill", kind, processes)
            if not calls:
                continue
            middle = {
                name: statistics.median(asdict(call)[name] for call in calls)
                for name in asdict(calls[0])
            }
            rows.append((
                title, str(processes), f"{middle['asked_per_second']:,.0f}",
                f"{middle['answered_per_second']:,.0f}", _milliseconds(middle["p50_ms"]),
                _milliseconds(middle["p99_ms"]), _milliseconds(middle["refused_p99_ms"]),
                f"{middle['unanswered']:.0f}", f"{middle['busy']:.0%}",
            ))  # fmt: skip
    return rows


def _milliseconds(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1f}"


def target_rows(results: Results) -> Rows:
    """Return a row for each target."""
    return [(each.name, each.wanted, each.shown, each.verdict) for each in targets(results)]


def as_json(results: Results, command: str) -> str:
    """Return everything, samples included, as JSON."""
    judged = [_plain(asdict(each)) | {"verdict": each.verdict} for each in targets(results)]
    content = {
        "command": command,
        "machine": machine(),
        "versions": versions(),
        "targets": judged,
        "samples": [
            asdict(sample) | {"found": _plain(asdict(sample.found))} for sample in results.samples
        ],
    }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(fields: dict[str, object]) -> dict[str, object]:
    """Return the fields with None for NaN, which JSON does not have."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in fields.items()
    }


def write(results: Results, command: str) -> None:
    """Write page, plot and JSON into the docs."""
    DOCS.mkdir(parents=True, exist_ok=True)
    (DOCS / "serving.json").write_text(as_json(results, command), encoding="utf-8")
    _plot(results, DOCS / "serving.svg")
    short = [each.name for each in targets(results) if each.verdict == "SHORT"]
    page = Template(_PAGE.read_text(encoding="utf-8")).substitute(
        command=command,
        machine=machine(),
        versions=", ".join(f"{name} {number}" for name, number in versions().items()),
        short="; ".join(short) or "none",
        targets=markdown(_TARGET_HEADER, target_rows(results)),
        loads=markdown(_LOAD_HEADER, load_rows(results)),
        calls=markdown(_CALL_HEADER, call_rows(results)),
    )
    (DOCS / "serving.md").write_text(page, encoding="utf-8")


def markdown(header: tuple[str, ...], rows: Rows) -> str:
    """Return a table in Markdown; a row with a missed target is bold."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for row in rows:
        shown = [f"**{cell}**" if "SHORT" in row and cell else cell for cell in row]
        lines.append("| " + " | ".join(shown) + " |")
    return "\n".join(lines)


def _plot(results: Results, path: Path) -> None:
    """Plot rows per second with the better number of processes; whiskers show all rounds."""
    names = [name for name in reversed(_TITLES) if results.best(name)]
    rates = [[load.rows_per_second for load in _best_loads(results, name)] for name in names]
    middles = [statistics.median(each) for each in rates]
    below = [middle - min(each) for middle, each in zip(middles, rates, strict=True)]
    above = [max(each) - middle for middle, each in zip(middles, rates, strict=True)]
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    colors = ["tab:blue" if name == "tidemill" else "lightgrey" for name in names]
    titles = [_TITLES[name] for name in names]
    bars = axes.barh(titles, middles, xerr=[below, above], color=colors)
    axes.bar_label(bars, [f"{middle:,.0f}" for middle in middles], padding=6)
    axes.set_xlabel("answers per second, 64 in flight, better of one and two processes")
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    with mpl.rc_context({"svg.hashsalt": "tidemill"}):
        figure.savefig(path, metadata={"Date": None})


def _best_loads(results: Results, system: str) -> list[Load]:
    return results.loads(system, "unary", results.better(system))
