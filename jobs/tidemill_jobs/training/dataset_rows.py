"""The rows of a dataset version, as a training takes them."""

import polars as pl

from tidemill_core.domain.example import LabelSource
from tidemill_core.domain.split import Split
from tidemill_core.settings import TaskKind
from tidemill_jobs.training.labeled_texts import LabeledTexts, TrainingData

_OF_TRAFFIC = (LabelSource.HUMAN, LabelSource.FEEDBACK)


def training_data(frame: pl.DataFrame, kind: TaskKind = "classification") -> TrainingData:
    """Return a dataset's rows by split."""

    def rows(split: Split) -> LabeledTexts:
        part = frame.filter(pl.col("split") == split)
        return LabeledTexts(
            part["text"].to_list(),
            part["label"].to_list(),
            part["weight"].to_list(),
            part["label_source"].is_in(_OF_TRAFFIC).to_list(),
        )

    splits = (rows(Split.TRAIN), rows(Split.VALIDATION), rows(Split.TEST))
    return TrainingData(*splits, are_pairs=kind == "preference")
