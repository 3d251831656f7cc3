"""The job `find_label_errors`: finds examples that seem to have a wrong label."""

from datetime import datetime

import numpy as np
import polars as pl
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_normalized_margin_for_each_label
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline

from tidemill_core.counted import counted
from tidemill_core.domain.example import LabelSource
from tidemill_core.domain.labeling import LabelReason, LabelRequest
from tidemill_core.domain.split import Split
from tidemill_core.storage.database import Page
from tidemill_jobs.context import JobContext, Progress, Result
from tidemill_jobs.data.publishing.dataset import read_dataset

MAX_ROWS = 100_000
"""The most rows to check. Time grows with rows times labels: 10,000 with 77 labels take 5 s."""

_MAX_PROBABILITIES = 50_000_000
_FOLDS = 5
_FEATURES = 1 << 16
_SEED = 0
_SHOWN = 10

_NOT_CHECKED = [str(LabelSource.HUMAN), str(LabelSource.MODEL)]
SUSPECTS = ("text_hash", "origin", "text", "label", "suggested_label", "quality")
_NONE = pl.DataFrame(schema={**dict.fromkeys(SUSPECTS, pl.String), "quality": pl.Float64})


def run(context: JobContext) -> Result:
    """Queue the texts with suspicious labels in the task's newest dataset version for people.

    Only training rows are checked, and none that people labeled or that a model answered. Each text
    is queued once, whatever people decide.

    Returns:
        The `dataset_version` (empty if there is none), the number of `rows` checked, of `suspects`
        found and of texts `queued`, and the ten `worst`: `origin`, `label`, `suggested_label` and
        `quality`, without their texts.

    Raises:
        DataError: the version is missing or damaged.
        RunCanceled: someone asked the run to stop; nothing is queued.
    """
    task, judgements = context.task, context.settings.labeling.judgements
    newest, _ = context.storage.datasets.page(task, Page(size=1))
    if not newest:
        return {"dataset_version": "", "rows": 0, "suspects": 0, "queued": 0, "worst": []}
    context.progress(0.1, "reading the dataset")
    renames = context.task_settings.labels.rename
    examples = (
        read_dataset(str(context.dataset_folder(newest[0].dataset_version)))
        .filter(pl.col("split") == str(Split.TRAIN), ~pl.col("label_source").is_in(_NOT_CHECKED))
        .with_columns(pl.col("label").replace(renames))
    )
    suspects = suspected_errors(examples, context.settings.feedback.max_suspects, context.progress)
    now = context.clock()
    queued = context.storage.label_items.add(_requests(task, suspects, now), judgements, now)
    shown = suspects.head(_SHOWN).select("origin", "label", "suggested_label", "quality")
    return {
        "dataset_version": newest[0].dataset_version,
        "rows": len(examples),
        "suspects": len(suspects),
        "queued": queued,
        "worst": shown.to_dicts(),
    }


def _requests(task: str, suspects: pl.DataFrame, now: datetime) -> list[LabelRequest]:
    """Return a request to people for each suspect."""
    columns = ("text_hash", "text", "suggested_label", "label")
    return [
        LabelRequest(
            task=task,
            text=text,
            reason=LabelReason.SUSPECTED_ERROR,
            text_time=now,
            suggested_labels=(suggested, label),
            origin=text_hash,
        )
        for text_hash, text, suggested, label in suspects.select(columns).iter_rows()
    ]


def suspected_errors(examples: pl.DataFrame, limit: int, progress: Progress) -> pl.DataFrame:
    """Return the examples that most likely have a wrong label.

    A linear model of words and pairs of words, trained on the other folds, predicts each label.
    Confident learning (Northcutt et al. 2021, arXiv 1911.00068; the library cleanlab) estimates how
    many labels are wrong, and takes those of the lowest quality: the normalized margin,
    (1 + P(label) - max P(other label)) / 2, in [0, 1].

    Labels with fewer rows than folds cannot be checked. At most MAX_ROWS examples are checked,
    those with the lowest text_hash. The same examples give the same result.

    Args:
        examples: `text_hash`, `origin`, `text` and `label`.
        limit: the most examples to return.
        progress: called for each fold.

    Returns:
        SUSPECTS, by ascending quality; no rows if fewer than two labels can be checked.

    Raises:
        RunCanceled: someone asked the run to stop.
    """
    rows = examples.sort("text_hash").filter(pl.len().over("label") >= _FOLDS)
    rows = rows.head(min(MAX_ROWS, _MAX_PROBABILITIES // max(1, rows["label"].n_unique())))
    rows = rows.filter(pl.len().over("label") >= _FOLDS)  # `head` may have taken rows of a label
    labels = rows["label"].unique().sort()
    if len(labels) < 2:
        return _NONE
    numbers = rows["label"].rank("dense").to_numpy().astype(int) - 1
    texts = rows["text"].to_numpy()
    probabilities = np.zeros((len(rows), len(labels)))
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=_SEED).split(texts, numbers)
    for done, (others, fold) in enumerate(folds):
        progress(0.2 + 0.7 * done / _FOLDS, f"checking the labels of {counted(len(rows), 'row')}")
        model = _classifier().fit(texts[others], numbers[others])
        probabilities[fold] = model.predict_proba(texts[fold])
    found = find_label_issues(
        numbers,
        probabilities,
        filter_by="low_normalized_margin",
        return_indices_ranked_by="normalized_margin",
        n_jobs=1,
    )[:limit]
    quality = get_normalized_margin_for_each_label(numbers[found], probabilities[found])
    suspects: pl.DataFrame = rows[found].with_columns(
        suggested_label=labels.gather(probabilities[found].argmax(axis=1)),
        quality=pl.Series(quality, dtype=pl.Float64).round(4),
    )
    return suspects.select(SUSPECTS)


def _classifier() -> Pipeline:
    words = HashingVectorizer(ngram_range=(1, 2), n_features=_FEATURES, alternate_sign=False)
    model = SGDClassifier(loss="log_loss", alpha=1e-5, random_state=_SEED)
    return make_pipeline(words, TfidfTransformer(sublinear_tf=True), model)
