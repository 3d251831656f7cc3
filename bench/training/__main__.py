"""Accuracy, calibration and cost of each network on BANKING77.

    python -m bench.training [--seeds 1] [--only ngram]

It trains on the shipped example's training rows as a build splits them, and measures on the
official test split, on which no choice here depends. The peer is scikit-learn: TF-IDF of words and
characters with a linear SVM. Every training has one thread; its cost is CPU time. Exits with 1 if a
network misses its must.
`bench.training.scale` shows how time and memory grow with the rows.
"""

import argparse
import math
import sys
import time
from typing import get_args

from rich.console import Console
from rich.table import Table
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline, make_union
from sklearn.svm import LinearSVC

from bench import end_on_sigterm
from bench.training.support import Rows, labeled, measure, read, side
from tidemill_core.domain.split import Split
from tidemill_core.settings.training import NetworkName
from tidemill_jobs.training.evaluate import Measures

PEER = "TF-IDF and linear SVM"
_ACCURACY = {"ngram": 0.92, "sentence_encoder": 0.93}
"""The least accuracy that a network must reach."""
_SECONDS = {"ngram": 60.0}
"""The most CPU seconds that its training must take."""
_CALIBRATION_ERROR = 0.03


def must(network: str, found: Measures, seconds: float) -> str:
    """Return what a network must reach, and whether it does; empty for one without a must."""
    if network not in _ACCURACY:
        return ""
    least, most = _ACCURACY[network], _SECONDS.get(network, math.inf)
    reached = found.accuracy >= least and seconds <= most
    reached = reached and found.expected_calibration_error <= _CALIBRATION_ERROR
    time_ = "" if math.isinf(most) else f", {most:.0f} s"
    wanted = f"at least {least}, error at most {_CALIBRATION_ERROR}{time_}"
    return f"{wanted}: {'reached' if reached else 'SHORT'}"


def main() -> int:
    """Run the benchmark; return 1 if a network misses its must."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds, from 0")
    parser.add_argument("--only", default="", help="one network")
    given = parser.parse_args()
    whole, test = read("train.csv"), read("test.csv")
    learned, validation = side(whole, Split.TRAIN), side(whole, Split.VALIDATION)
    table, musts = Table("model", "seed", "accuracy", "calibration error", "CPU s", "must"), [""]
    if not given.only:
        accuracy, seconds = measure_peer(learned, test)
        table.add_row(PEER, "", f"{accuracy:.4f}", "", f"{seconds:.1f}")
    for network in [given.only] if given.only else get_args(NetworkName):
        for seed in range(given.seeds):
            found, seconds = measure(labeled(learned), validation, test, seed, network)
            error = f"{found.expected_calibration_error:.4f}"
            musts.append(must(network, found, seconds))
            cost = f"{seconds:.1f}"
            table.add_row(network, str(seed), f"{found.accuracy:.4f}", error, cost, musts[-1])
    Console(width=120).print(table)
    return 1 if any("SHORT" in each for each in musts) else 0


def measure_peer(learned: Rows, test: Rows) -> tuple[float, float]:
    """Train the peer; return its accuracy on the test rows, and CPU seconds."""
    start = time.process_time()
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    model = make_pipeline(make_union(words, letters), LinearSVC())
    model.fit(*zip(*learned, strict=True))
    seconds = time.process_time() - start
    return float(model.score(*zip(*test, strict=True))), seconds


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
