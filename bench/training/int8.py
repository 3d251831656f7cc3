"""What weights in int8 save, and what they cost, for each network on BANKING77.

    python -m bench.training.int8 [--only ngram]

Each network is trained once. The weights before and after rounding are exported to ONNX and opened
as Triton opens them, with one thread. Latency is the median of single texts and throughput that of
batches of 128, both with texts of the official test split, as are accuracy and changed labels.
"""

import argparse
import time
from typing import get_args

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from bench import end_on_sigterm
from bench.training.support import TrainingConfig, labeled, read, side
from tidemill_core.domain.split import Split
from tidemill_core.settings.training import NetworkName
from tidemill_jobs.training.classifier import CalibratedClassifier
from tidemill_jobs.training.export import Probabilities, export_onnx, open_export
from tidemill_jobs.training.labeled_texts import TrainingData
from tidemill_jobs.training.tracking import Untracked
from tidemill_jobs.training.train import TrainedModel, train

_CALLS = 300
_BATCH = 128
_BATCHES = 8

Ids = npt.NDArray[np.int32]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--only", default="", help="one network")
    only = parser.parse_args().only
    whole, test = read("train.csv"), read("test.csv")
    learned, validation = side(whole, Split.TRAIN), side(whole, Split.VALIDATION)
    data = TrainingData(labeled(learned), labeled(validation), labeled(test))
    table = Table("network", "weights", "MB", "accuracy", "changed", "ms a text", "texts/s")
    for network in [only] if only else get_args(NetworkName):
        config = TrainingConfig(network, int8=True)
        trained = train(data, config, lambda _done, _doing: None, Untracked())
        for row in compared(trained, data):
            table.add_row(network, *row)
    Console(width=100).print(table)


def compared(trained: TrainedModel, data: TrainingData) -> list[list[str]]:
    """Return a row of the table for the weights in float32, and one for those in int8."""
    if trained.unrounded is None:
        raise ValueError("the model was trained without int8")
    before = CalibratedClassifier(trained.unrounded, trained.temperature)
    files = {
        name: export_onnx(module, trained.sequence_length)
        for name, module in (("float32", before), ("int8", trained.classifier))
    }
    ids = trained.encoder.encode(data.test.texts)
    targets = np.array([trained.labels.index(label) for label in data.test.labels])
    best = {name: answered(file, ids).argmax(axis=1) for name, file in files.items()}
    rows = []
    for name, file in files.items():
        accuracy = f"{np.mean(best[name] == targets):.4f}"
        changed = f"{np.count_nonzero(best[name] != best['float32'])} of {len(targets)}"
        latency, throughput = speed(file, ids)
        size = f"{len(file) / 1e6:.1f}"
        rows.append([name, size, accuracy, changed, f"{latency:.3f}", f"{throughput:,.0f}"])
    return rows


def answered(file: bytes, ids: Ids) -> Probabilities:
    """Answer rows in batches."""
    answer = open_export(file, "onnx")
    return np.concatenate([answer(ids[i : i + _BATCH]) for i in range(0, len(ids), _BATCH)])


def speed(file: bytes, ids: Ids) -> tuple[float, float]:
    """Return the median milliseconds of single texts, and texts a second in batches."""
    answer = open_export(file, "onnx")

    def median(rows: int, calls: int) -> float:
        seconds = []
        for start in np.arange(calls) * rows % (len(ids) - rows):
            began = time.perf_counter()
            answer(ids[start : start + rows])
            seconds.append(time.perf_counter() - began)
        return float(np.median(seconds))

    return 1e3 * median(1, _CALLS), _BATCH / median(_BATCH, _BATCHES)


if __name__ == "__main__":
    end_on_sigterm()
    main()
