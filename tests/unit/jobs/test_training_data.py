"""The training data of a dataset version."""

import polars as pl

from tidemill_jobs.training.dataset_rows import training_data
from tidemill_jobs.training.labeled_texts import LabeledTexts


def test_a_datasets_rows_come_by_split_with_their_weights() -> None:
    """A weak label keeps its probability as its weight, and rows of traffic are marked."""
    columns = ("text", "label", "weight", "label_source", "split")
    rows = [
        ("a", "x", 1.0, "feedback", "train"),
        ("b", "y", 0.51, "weak", "train"),
        ("c", "x", 1.0, "human", "validation"),
        ("d", "y", 1.0, "source", "test"),
    ]
    data = training_data(pl.DataFrame(rows, schema=columns, orient="row"))
    assert data.train == LabeledTexts(["a", "b"], ["x", "y"], [1.0, 0.51], [True, False])
    assert data.validation == LabeledTexts(["c"], ["x"], [1.0], [True])
    assert data.test == LabeledTexts(["d"], ["y"], [1.0], [False])
