"""The size and time of each page of the console.

    python -m bench.console [--predictions 1000000]

A front serves a workspace with three weeks of history and this many stored predictions, and one
browser asks for each page. Exits with 1 if a page is larger than 100 KB, without its cached files,
or takes longer than 200 ms (median).
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from bench import end_on_sigterm
from tests.integration.server.console.history import CHAMPION, PAIRS, TASK, write_history
from tests.integration.server.front import Front, Workspace
from tests.integration.server.models import LABELS
from tests.plugins.fake_triton import FakeTriton
from tidemill_core.clock import system_clock
from tidemill_core.domain.prediction import Prediction, Score
from tidemill_core.storage.database import Page
from tidemill_core.storage.predictions import Span
from tidemill_core.storage.storage import Storage

MAX_BYTES = 100_000
MAX_SECONDS = 0.2
_ROUNDS = 15
_CHUNK = 10_000
_DATASET = "2" * 64


def main() -> int:
    """Measure, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--predictions", type=int, default=1_000_000)
    count = parser.parse_args().predictions
    table = Table("page", "KB", "median ms", "slowest ms", "")
    is_good = True
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder), {TASK: 3})
        with (workspace.folder / "tidemill.toml").open("a") as settings:
            settings.write(f'\n[tasks.{PAIRS}]\nkind = "preference"\n')
        write_history(workspace, system_clock())
        for batch in _predictions(count):
            workspace.storage.predictions.add(batch)
        with FakeTriton() as triton, Front(workspace, triton.address) as front:
            root = f"http://127.0.0.1:{front.http_port}/console/"
            with httpx.Client(base_url=root, trust_env=False, timeout=30) as client:
                for page in _pages(workspace.storage):
                    size, seconds = _measure(client, page)
                    median = statistics.median(seconds)
                    good = size <= MAX_BYTES and median <= MAX_SECONDS
                    is_good &= good
                    times = (f"{1000 * median:.1f}", f"{1000 * max(seconds):.1f}")
                    table.add_row(
                        f"/{page}", f"{size / 1000:.1f}", *times, "" if good else "missed"
                    )
    Console().print(table)
    print(f"{count:,} predictions in the database; targets: 100 KB, 200 ms")
    return 0 if is_good else 1


def _pages(storage: Storage) -> Iterator[str]:
    """Yield the path of each page, also of one report, run and prediction."""
    yield from ("", "keys", "sign-in")
    now, first = system_clock(), Page(1)
    [drift], [run] = (
        storage.reports.page(TASK, "drift", first)[0],
        storage.jobs.page("", TASK, first)[0],
    )
    ids = storage.predictions.ids(Span(TASK, now - timedelta(hours=20), now))
    prediction_id = next(each for each in ids if not each.startswith("bench"))  # it is signed
    of_task = (
        *("try", "versions", f"versions/{CHAMPION}", f"versions/compare?a={CHAMPION}&b=5"),
        *("quality", f"quality/report/{drift.report_id}", "label?lease=x"),
        *("data", f"data/{_DATASET}", f"data/{_DATASET}/excluded"),
        *(f"data/diff?a={'1' * 64}&b={_DATASET}", f"data/prediction?id={prediction_id}"),
        *("jobs", f"jobs/{run.run_id}", "alerts"),
    )
    yield from (f"t/{TASK}/{path}" for path in of_task)
    yield f"t/{PAIRS}/label"


def _predictions(count: int) -> Iterator[list[Prediction]]:
    """Yield predictions of the last three weeks, in chunks."""
    now, step = system_clock(), timedelta(days=21) / max(count, 1)
    for start in range(0, count, _CHUNK):
        yield [
            Prediction(
                *(f"bench-{i}", TASK, CHAMPION, f"my card {i} is lost", LABELS[i % 4], 0.9),
                *((Score(LABELS[i % 4], 0.9),), False, "Predict", "", "", {}, 1.0, 3.0),
                now - i * step,
            )
            for i in range(start, min(start + _CHUNK, count))
        ]


def _measure(client: httpx.Client, page: str) -> tuple[int, list[float]]:
    seconds = []
    for _ in range(_ROUNDS):
        begin = time.perf_counter()
        answer = client.get(page).raise_for_status()
        seconds.append(time.perf_counter() - begin)
    return len(answer.content), seconds[1:]


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
