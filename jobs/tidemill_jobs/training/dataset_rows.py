"""The rows of a dataset version, as a training takes them."""

import polars as pl

from tidemill_core.domain.split import Split
from tidemill_core.settings import TaskKind
from tidemill_jobs.training.labeled_texts import LabeledTexts, TrainingData


def training_data(frame: pl.DataFrame, kind: TaskKind = "classification") -> TrainingData:
    """Return a dataset's rows by split."""

    def rows(split: Split) -> LabeledTexts:
        part = frame.filter(pl.col("split") == split)
        return LabeledTexts(*(part[name].to_list() for name in ("text", "label", "weight")))

    splits = (rows(Split.TRAIN), rows(Split.VALIDATION), rows(Split.TEST))
    return TrainingData(*splits, are_pairs=kind == "preference")
