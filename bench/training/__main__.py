"""Accuracy, calibration and cost of each network on BANKING77.

    python -m bench.training [--seeds 1] [--only ngram]

It trains on the shipped example's training rows as a build splits them, and measures on the
official test split, on which no choice here depends. The peer is scikit-learn: TF-IDF of words and
characters with a linear SVM. Every training has one thread; its cost is CPU time.
`bench.training.scale` shows how time and memory grow with the rows.
"""

import argparse
import time
from typing import get_args

from rich.console import Console
from rich.table import Table
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline, make_union
from sklearn.svm import LinearSVC

from bench.training.support import Rows, labeled, measure, read, side
from tidemill_core.domain.split import Split
from tidemill_core.settings.training import NetworkName

PEER = "TF-IDF and linear SVM"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds, from 0")
    parser.add_argument("--only", default="", help="one network")
    given = parser.parse_args()
    whole, test = read("train.csv"), read("test.csv")
    learned, validation = side(whole, Split.TRAIN), side(whole, Split.VALIDATION)
    table = Table("model", "seed", "accuracy", "calibration error", "CPU s")
    if not given.only:
        accuracy, seconds = measure_peer(learned, test)
        table.add_row(PEER, "", f"{accuracy:.4f}", "", f"{seconds:.1f}")
    for network in [given.only] if given.only else get_args(NetworkName):
        for seed in range(given.seeds):
            found, seconds = measure(labeled(learned), validation, test, seed, network)
            error = f"{found.expected_calibration_error:.4f}"
            table.add_row(network, str(seed), f"{found.accuracy:.4f}", error, f"{seconds:.1f}")
    Console().print(table)


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
    main()
