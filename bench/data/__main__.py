"""Time and memory of building a dataset version.

    python -m bench.data [--rows 1000000]

Rows are made from arXiv titles: 20 % equal an earlier row except for case and whitespace, and 5 %
nearly equal one. Each build is its own process: it lands, cleans, finds exact and near duplicates,
splits and publishes. A run with at least the default number of rows writes docs/benchmarks/data.md.
Exits with 1 if a target is missed.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import end_on_sigterm
from bench.data.rows import write_rows
from bench.serving.machine import machine
from bench.serving.report import DOCS, Rows, markdown

_WORTH_A_PAGE = 1_000_000
_BASELINE_SHARE = 10
_NEW_SHARE = 100
_MORE = 4
_HEADER = ("figure", "target", "measured", "")
_BUILDS = ("build", "rows in", "seconds", "rows/s", "peak MiB", "rows kept")


@dataclass(frozen=True)
class Build:
    """One measured build.

    Attributes:
        title: the build's name.
        rows: input rows.
        seconds: duration.
        peak: peak of resident memory, in MiB.
        kept: rows of the version.
    """

    title: str
    rows: int
    seconds: float
    peak: float
    kept: int


def _measured(module: str, title: str, rows: int, folder: Path, console: Console) -> Build:
    console.print(f"{title}: {rows:,} rows")
    command = [sys.executable, "-m", module, str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603 -- our own words
    found: dict[str, Any] = json.loads(done.stdout)
    kept = found["rows_kept"] if "rows_kept" in found else found["result"]["rows_kept"]
    return Build(title, rows, found["seconds"], found["peak_bytes"] / 2**20, kept)


def _builds(rows: int, folder: Path, console: Console) -> list[Build]:
    few, new, many = rows // _BASELINE_SHARE, rows // _NEW_SHARE, rows * _MORE
    write_rows(folder / "few" / "rows", 0, few, seed=1)
    baseline = _measured("bench.data.baseline", "pandas + datasketch", few, folder / "few", console)
    small = _measured("bench.data.build", "Tidemill", few, folder / "few", console)
    write_rows(folder / "full" / "rows", 0, rows, seed=2)
    full = _measured("bench.data.build", "full", rows, folder / "full", console)
    write_rows(folder / "full" / "rows", rows, new, seed=3)
    title = f"again, {new:,} rows more"
    again = _measured("bench.data.build", title, rows + new, folder / "full", console)
    write_rows(folder / "many" / "rows", 0, many, seed=4)
    return [
        baseline,
        small,
        full,
        again,
        _measured("bench.data.build", f"{_MORE} times the rows", many, folder / "many", console),
    ]


def _figures(builds: list[Build]) -> Rows:
    baseline, small, full, again, many = builds
    share, times = again.seconds / full.seconds, many.seconds / full.seconds
    faster = baseline.seconds / small.seconds
    found = (
        ("seconds, full", "at most 30", f"{full.seconds:.0f}", full.seconds <= 30),
        ("peak of memory, full", "at most 4 GiB", f"{full.peak / 1024:.1f} GiB", full.peak <= 4096),
        ("seconds with 1 % more rows", "at most full", f"{share:.0%} of full", share <= 1),
        ("seconds for 4 times the rows", "at most 4.5 x full", f"{times:.1f} x", times <= 4.5),
        ("speed against pandas + datasketch", "none", f"{faster:.1f} x", True),
    )
    return [(*cells, "reached" if holds else "SHORT") for *cells, holds in found]


def _rows(builds: list[Build]) -> Rows:
    return [
        (
            build.title,
            f"{build.rows:,}",
            f"{build.seconds:.1f}",
            f"{build.rows / build.seconds:,.0f}",
            f"{build.peak:,.0f}",
            f"{build.kept:,}",
        )
        for build in builds
    ]


def _page(builds: list[Build]) -> str:
    return "\n\n".join(
        (
            "# From rows to a dataset version",
            f"Written by `python -m bench.data`. Machine: {machine()}.",
            "Rows are made from arXiv titles: 20 % equal an earlier row except for case and\n"
            "whitespace, and 5 % nearly equal one. Each build is its own process: it lands\n"
            "Parquet files, cleans, finds exact and near duplicates, splits and publishes.\n"
            "Imports are not counted.",
            markdown(_HEADER, _figures(builds)),
            markdown(_BUILDS, _rows(builds)) + "\n",
        )
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=_WORTH_A_PAGE, help="rows of the full build")
    rows = parser.parse_args().rows
    console = Console()
    with tempfile.TemporaryDirectory(prefix="tidemill-bench-") as folder:
        builds = _builds(rows, Path(folder), console)
    for header, lines in ((_BUILDS, _rows(builds)), (_HEADER, _figures(builds))):
        table = Table(*header)
        for line in lines:
            table.add_row(*line)
        console.print(table)
    if rows >= _WORTH_A_PAGE:
        (DOCS / "data.md").write_text(_page(builds), encoding="utf-8")
    sys.exit(any("SHORT" in line for line in _figures(builds)))


if __name__ == "__main__":
    end_on_sigterm()
    main()
