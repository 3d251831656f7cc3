"""Time and memory of a training by the number of rows.

    python -m bench.training.scale [--rows 10000 100000 1000000] [--network ngram] [--epochs 0]

The rows are made from BANKING77's training rows: each is one of them with two words that are drawn
from all words, so there are about as many different texts as rows. Each training runs in a process
of its own, with one thread. The defaults train for at least six epochs; `--epochs 1` shortens a
training whose memory alone is of interest.
"""

import argparse
import random
import resource
import subprocess
import sys
import time

from rich.console import Console
from rich.table import Table

from bench import end_on_sigterm
from bench.training.support import Rows, labeled, read
from tidemill_jobs.training.labeled_texts import TrainingData
from tidemill_jobs.training.tracking import Untracked
from tidemill_jobs.training.train import TrainingConfig, train

HELD_OUT = 1000


def made_rows(count: int) -> Rows:
    """Return `count` rows; the same count gives the same rows."""
    drawn = random.Random(count)  # noqa: S311 -- not for security
    whole = read("train.csv")
    words = [word for text, _ in whole for word in text.split()]
    return [
        (f"{drawn.choice(words)} {text} {drawn.choice(words)}", label)
        for text, label in drawn.choices(whole, k=count)
    ]


def measure_once(count: int, network: str, epochs: int) -> None:
    """Train on `count` rows, and print CPU seconds and the peak memory in MiB."""
    rows = made_rows(count + 2 * HELD_OUT)
    parts = rows[2 * HELD_OUT :], rows[:HELD_OUT], rows[HELD_OUT : 2 * HELD_OUT]
    data = TrainingData(*map(labeled, parts))
    del rows, parts
    shortened = {"least_epochs": epochs, "most_epochs": epochs} if epochs else {}
    start = time.process_time()
    train(data, TrainingConfig(network, shortened), lambda _done, _doing: None, Untracked())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(time.process_time() - start, peak)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--network", default="ngram")
    parser.add_argument("--epochs", type=int, default=0, help="0 for the default number")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.once:
        measure_once(given.rows[0], given.network, given.epochs)
        return
    table = Table("rows", "CPU s", "CPU ms a row", "peak memory")
    for count in given.rows:
        command = [sys.executable, "-m", "bench.training.scale", "--once", "--rows", str(count)]
        command += ["--network", given.network, "--epochs", str(given.epochs)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 -- our own words
        seconds, mebibytes = map(float, done.stdout.split())
        cost = f"{1000 * seconds / count:.2f}"
        table.add_row(f"{count:,}", f"{seconds:.0f}", cost, f"{mebibytes:,.0f} MiB")
    Console().print(table)


if __name__ == "__main__":
    end_on_sigterm()
    main()
