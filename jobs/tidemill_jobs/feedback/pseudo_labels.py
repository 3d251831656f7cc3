"""Examples from models' confident answers, which no person has judged: pseudo-labels.

They show a model the words of today's traffic (Lee 2013, "Pseudo-Label"). Users' verdicts and
people's labels of a text count before them, and they never judge a model.
"""

from datetime import datetime, timedelta

from tidemill_core.domain.example import Example, LabelSource
from tidemill_core.domain.prediction import Prediction
from tidemill_core.settings.training import PseudoLabelSettings
from tidemill_core.storage.prediction_samples import PredictionSamples


def pseudo_labels(
    samples: PredictionSamples, task: str, settings: PseudoLabelSettings | None, now: datetime
) -> tuple[Example, ...]:
    """Return an example for each answer that the settings choose; none without settings.

    `origin` and `key` are the prediction's id, `annotator` names the version that answered, and
    `weight` is the answer's confidence.

    Raises:
        StorageUnavailable: the database cannot be read.
    """
    if settings is None:
        return ()
    since = now - timedelta(days=settings.days)
    chosen = samples.unjudged(task, since, settings.min_confidence, settings.max_rows)
    return tuple(map(_example, chosen))


def _example(answer: Prediction) -> Example:
    return Example(
        text=answer.text,
        label=answer.label,
        label_source=LabelSource.MODEL,
        origin=answer.prediction_id,
        key=answer.prediction_id,
        weight=answer.confidence,
        annotator=f"version {answer.model_version}",
        time=answer.predict_time,
    )
