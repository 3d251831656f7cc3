"""What fine-tuning MiniLM's last layers brings, and costs, beside the frozen one.

    python -m bench.training.tuned [--rows 1000] [--layers 2] [--test-rows 1000]

Rows are drawn from BANKING77's training rows as a build splits them; the test rows are the first
of the official test split in random order. Each training has one thread.
"""

import argparse
import random
import time

from bench import end_on_sigterm
from bench.training.support import labeled, read, side
from tidemill_core.domain.split import Split
from tidemill_jobs.training.labeled_texts import TrainingData
from tidemill_jobs.training.tracking import Untracked
from tidemill_jobs.training.train import TrainingConfig, train


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--layers", type=int, default=2, help="of MiniLM's six")
    parser.add_argument("--test-rows", type=int, default=1000)
    given = parser.parse_args()
    whole, test = read("train.csv"), read("test.csv")
    learned, validation = side(whole, Split.TRAIN), side(whole, Split.VALIDATION)
    for rows in (learned, validation, test):
        random.Random(0).shuffle(rows)  # noqa: S311 -- not for security
    held_out = validation[: max(100, given.rows // 10)]
    data = TrainingData(*map(labeled, (learned[: given.rows], held_out, test[: given.test_rows])))
    for layers in (0, given.layers):
        config = TrainingConfig("sentence_encoder", {"tuned_layers": layers})
        start = time.process_time()
        found = train(data, config, lambda _done, _doing: None, Untracked()).test_measures
        seconds = time.process_time() - start
        error = found.expected_calibration_error
        print(f"{layers} tuned layers: accuracy {found.accuracy:.4f}, ", end="")
        print(f"calibration error {error:.4f}, {seconds:.1f} CPU s", flush=True)


if __name__ == "__main__":
    end_on_sigterm()
    main()
