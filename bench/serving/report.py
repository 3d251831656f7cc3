"""Results as tables, JSON, a plot and a page of the docs."""

import json
import math
import statistics
from dataclasses import asdict
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from rich.console import Console

from bench.serving import kinds
from bench.serving.machine import machine, versions
from bench.serving.measure import DEFAULT, ECHO, RAW, REST, TIDEMILL, TRITON
from bench.serving.pages import DOCS, Rows, markdown, print_table, write_page
from bench.serving.peer import ALL
from bench.serving.targets import Results, targets

_TITLES = (
    {TRITON: "Triton, ready ids"}
    | {name: peer.title for name, peer in ALL.items()}
    | {RAW: "tokenizers + ONNX Runtime"}
    | {name: f"Tidemill on {transport}" for name, transport in TIDEMILL.items()}
    | {REST: "Tidemill over REST"}
    | {name: f"echo on {transport}" for name, transport in ECHO.items()}
)
_SYSTEM_HEADER = (
    "system", "processes", "answers/s", "spread", "front, CPU µs a call", "p99 ms",
    "one caller's p50, ms",
)  # fmt: skip
_LOAD_HEADER = (
    "load", "texts/s asked", "texts/s answered", "p50 ms", "p99 ms", "refused",
    "refused p99 ms", "late or unanswered", "generator",
)  # fmt: skip
_TARGET_HEADER = ("figure", "level", "target", "measured", "")


def show(results: Results, console: Console) -> None:
    """Print all tables; a missed target is red."""
    print_table(_SYSTEM_HEADER, system_rows(results), console)
    print_table(_LOAD_HEADER, load_rows(results), console)
    print_table(_TARGET_HEADER, target_rows(results), console)


def system_rows(results: Results) -> Rows:
    """Return a row of medians for each system with 64 calls in flight."""
    rows: Rows = []
    for system, title in _TITLES.items():
        if not (loads := results.loads(system, kinds.MANY)):
            continue
        rates = [load.rows_per_second for load in loads]
        rows.append((
            title,
            str(results.processes(system) or ""),
            f"{statistics.median(rates):,.0f}",
            f"{min(rates):,.0f} to {max(rates):,.0f}",
            _number(results.median(system, kinds.MANY, lambda load: load.cpu_us), 0),
            _number(results.median(system, kinds.MANY, lambda load: load.p99_ms), 1),
            _number(results.median(system, kinds.ONE, lambda load: load.p50_ms), 2),
        ))  # fmt: skip
    return rows


def load_rows(results: Results) -> Rows:
    """Return a row of medians for each kind of load on Tidemill, and for the raw batches."""
    rows: Rows = []
    for system in (DEFAULT, RAW):
        for kind in dict.fromkeys(sample.kind for sample in results.samples):
            loads = results.loads(system, kind)
            if not loads:
                continue
            middle = {
                name: statistics.median(asdict(load)[name] for load in loads)
                for name in asdict(loads[0])
            }
            rows.append((
                kind if system == DEFAULT else f"{_TITLES[system]}, batches of 64",
                f"{middle['asked_per_second']:,.0f}", f"{middle['rows_per_second']:,.0f}",
                _number(middle["p50_ms"], 1), _number(middle["p99_ms"], 1),
                f"{middle['refused']:.1%}", _number(middle["refused_p99_ms"], 1),
                f"{middle['unanswered']:,.0f}", _percent(middle["generator"]),
            ))  # fmt: skip
    return rows


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:,.{digits}f}"


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.0%}"


def target_rows(results: Results) -> Rows:
    """Return a row for each target."""
    return [
        (each.name, each.level, each.wanted, each.shown, each.verdict) for each in targets(results)
    ]


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
    short = [f"{each.name} ({each.level})" for each in targets(results) if each.verdict == "SHORT"]
    write_page(
        "serving",
        "bench.serving",
        versions=", ".join(f"{name} {number}" for name, number in versions().items()),
        short="; ".join(short) or "none",
        targets=markdown(_TARGET_HEADER, target_rows(results)),
        systems=markdown(_SYSTEM_HEADER, system_rows(results)),
        loads=markdown(_LOAD_HEADER, load_rows(results)),
    )


def _plot(results: Results, path: Path) -> None:
    """Plot answers per second with the better number of processes; whiskers show all rounds."""
    names = [name for name in reversed(_TITLES) if results.rate(name) and name not in ECHO]
    rates = [[load.rows_per_second for load in results.loads(name, kinds.MANY)] for name in names]
    middles = [statistics.median(each) for each in rates]
    below = [middle - min(each) for middle, each in zip(middles, rates, strict=True)]
    above = [max(each) - middle for middle, each in zip(middles, rates, strict=True)]
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    colors = ["tab:blue" if name in (*TIDEMILL, REST) else "lightgrey" for name in names]
    titles = [_TITLES[name] for name in names]
    bars = axes.barh(titles, middles, xerr=[below, above], color=colors)
    axes.bar_label(bars, [f"{middle:,.0f}" for middle in middles], padding=6)
    axes.set_xlabel("answers per second, 64 in flight, better of one and two processes")
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    with mpl.rc_context({"svg.hashsalt": "tidemill"}):
        figure.savefig(path, metadata={"Date": None})
