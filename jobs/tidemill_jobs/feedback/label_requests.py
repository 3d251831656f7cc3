"""The job `queue_labels`: chooses predictions for people to label, within one budget.

The audit is drawn first and independently of everything else, so its probability is right. What is
left of the budget goes in turn to contradictions, held feedback, texts on which two versions
disagree, new topics and texts on which the model is uncertain; see `label_choices`.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice

from tidemill_core.domain.job import JobRunState
from tidemill_core.domain.labeling import LabelReason, LabelRequest
from tidemill_core.storage.prediction_choices import count_with_text
from tidemill_core.storage.predictions import PredictionStore, Span
from tidemill_core.text_hash import load_text_key, text_hash
from tidemill_jobs.catalog import QUEUE_LABELS
from tidemill_jobs.context import JobContext, Progress, Result
from tidemill_jobs.feedback.label_choices import Choices, choices, request_for
from tidemill_jobs.feedback.review import review_feedback

SETTLING = timedelta(minutes=1)
"""The age that predictions must have; younger ones may not all be stored yet."""
AUDIT_SHARE_OF_BUDGET = 0.5
"""The most that audits take of the budget."""

_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_BATCH = 500
_HASH_DIGITS = 16

Add = Callable[[Sequence[LabelRequest]], int]


def run(context: JobContext) -> Result:
    """Queue predictions since the last successful run whose text is stored.

    Returns:
        `since` and `until`, the span of the predictions; `budget`, the texts that it allows;
        `audit_share`, which was drawn; and how many texts were queued as `audits` and for each
        choice. A text that waits already is not queued again. The first span has no `since`, and
        as long as it has no predictions, it has no `until`: with them, it counts as a day.

    Raises:
        RunCanceled: someone asked the run to stop; the next run repeats the span.
        StorageUnavailable: the database does not answer.
    """
    task, storage, labeling = context.task, context.storage, context.settings.labeling
    review_feedback(context)
    last = storage.jobs.latest(QUEUE_LABELS, task, [JobRunState.SUCCEEDED])
    ended = None if last is None else last.result.get("until")
    since = _BEGINNING if ended is None else datetime.fromisoformat(ended)
    span = Span(task, since, context.clock() - SETTLING)
    budget = allowance(labeling.budget, since, span.until)
    found = count_with_text(storage.database, span)
    share = min(labeling.audit_share, AUDIT_SHARE_OF_BUDGET * budget / max(1, found))
    key, sampled = load_text_key(context.settings.state_dir), context.task_settings.log_sample

    def add(requests: Sequence[LabelRequest]) -> int:
        return storage.label_items.add(requests, labeling.judgements, context.clock())

    drawn = _audits(storage.predictions, span, key, share, sampled, context.progress)
    audits = sum(map(add, drawn))
    renames = context.task_settings.labels.rename
    wanted = choices(storage, span, labeling.uncertain_per_run, renames, context.clock())
    return {
        **({"since": since.isoformat()} if since > _BEGINNING else {}),
        **({"until": span.until.isoformat()} if found or since > _BEGINNING else {}),
        "budget": budget,
        "audit_share": share,
        "audits": audits,
        **spend(wanted, budget - audits, add),
    }


def allowance(budget: float, since: datetime, until: datetime) -> int:
    """Return how many texts a budget a day allows for a span; the first span counts as a day.

    Fractions add up: over many spans the sum is the budget times the days, whatever their length.
    """
    start = max(since, until - _DAY) if since == _BEGINNING else since
    end, begin = ((time - _BEGINNING) / _DAY for time in (until, start))
    return math.floor(budget * end) - math.floor(budget * begin)


def spend(wanted: Choices, budget: int, add: Add) -> dict[str, int]:
    """Queue one text of each choice in turn until the budget is spent, and return their counts."""
    queued: Counter[str] = Counter(dict.fromkeys(wanted, 0))
    waiting = {name: iter(requests) for name, requests in wanted.items()}
    while waiting and budget > 0:
        for name in list(waiting):
            request = next(waiting[name], None)
            if request is None:
                del waiting[name]
            elif budget > 0:
                new = add([request])
                queued[name] += new
                budget -= new
    return dict(queued)


def _audits(
    predictions: PredictionStore,
    span: Span,
    key: bytes,
    share: float,
    log_sample: float,
    progress: Progress,
) -> Iterator[list[LabelRequest]]:
    """Yield a random share of the predictions, in batches.

    A keyed hash of the id decides, so the choice is the same in a repeated run, and callers cannot
    foresee it. No label is suggested, because that would influence people. The stored predictions
    are a random sample themselves: the task's current `log_sample`.
    """
    ids = predictions.ids(span)
    for number, batch in enumerate(iter(lambda: list(islice(ids, _BATCH)), [])):
        progress(0.0, f"looked at {number * _BATCH} predictions")
        chosen = [prediction_id for prediction_id in batch if _fraction(key, prediction_id) < share]
        yield [
            replace(
                request_for(prediction, LabelReason.AUDIT),
                inclusion_probability=share * log_sample or None,
            )
            for prediction in map(predictions.get, chosen)
            if prediction is not None and prediction.text
        ]


def _fraction(key: bytes, prediction_id: str) -> float:
    """Return a number in [0, 1) from a prediction's id; without the key it looks random."""
    return int(text_hash(key, f"audit {prediction_id}")[:_HASH_DIGITS], 16) / 16.0**_HASH_DIGITS
