"""Values to store, valid unless a test changes a field."""

import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import stamina

from tidemill_core.domain.dataset import DatasetVersion
from tidemill_core.domain.feedback import Feedback
from tidemill_core.domain.labeling import Judgement, LabelReason, LabelRequest
from tidemill_core.domain.model import ModelState
from tidemill_core.domain.prediction import Prediction, Score
from tidemill_core.domain.preference import Preference
from tidemill_core.domain.report import Report, ReportVerdict
from tidemill_core.errors import StorageUnavailable
from tidemill_core.storage.deployments import Change
from tidemill_core.storage.storage import Storage

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)

T = TypeVar("T")
R = TypeVar("R")


def later(seconds: float) -> datetime:
    """Return a time after NOW."""
    return NOW + timedelta(seconds=seconds)


def prediction(
    prediction_id: str, text: str = "where is my card?", **changes: object
) -> Prediction:
    """Return a prediction of the task support."""
    values: dict[str, object] = {
        "prediction_id": prediction_id,
        "task": "support",
        "model_version": 1,
        "text": text,
        "label": "card_arrival",
        "confidence": 0.75,
        "scores": (Score("card_arrival", 0.75), Score("lost_card", 0.25)),
        "abstained": False,
        "method": "Predict",
        "request_id": "",
        "routing_key": "",
        "attributes": {"channel": "mail"},
        "propensity": 0.9,
        "latency_ms": 3.5,
        "predict_time": NOW,
    }
    return Prediction(**(values | changes))


def verdict(prediction_id: str = "p1", **changes: object) -> Feedback:
    """Return a user's correction to lost_card."""
    values: dict[str, object] = {
        "feedback_id": uuid.uuid4().hex,
        "prediction_id": prediction_id,
        "task": "support",
        "model_version": 1,
        "correct": None,
        "label": "lost_card",
        "source": "ana",
        "comment": "",
        "request_id": "",
        "create_time": NOW,
    }
    return Feedback(**(values | changes))


def preference(chosen: str = "a card", rejected: str = "a cat", **changes: object) -> Preference:
    """Return Ana's judgement of two answers to one prompt."""
    values: dict[str, object] = {
        "preference_id": uuid.uuid4().hex,
        "task": "support",
        "prompt": "what did I lose?",
        "chosen": chosen,
        "rejected": rejected,
        "annotator": "ana",
        "reason": "",
        "request_id": "",
        "create_time": NOW,
    }
    return Preference(**(values | changes))


def label_request(text: str = "where is my card?", **changes: object) -> LabelRequest:
    """Return a request to label a text of the task support."""
    values: dict[str, object] = {
        "task": "support",
        "text": text,
        "reason": LabelReason.UNCERTAIN,
        "text_time": NOW,
    }
    return LabelRequest(**(values | changes))


def judgement(label_item_id: str, label: str = "lost_card", **changes: object) -> Judgement:
    """Return Ana's label for an item."""
    values: dict[str, object] = {
        "label_item_id": label_item_id,
        "annotator": "ana",
        "label": label,
        "request_id": "",
        "create_time": NOW,
    }
    return Judgement(**(values | changes))


def dataset(dataset_version: str, task: str = "support", uri: str = "file:///d") -> DatasetVersion:
    """Return a dataset version of 100 rows."""
    return DatasetVersion(
        dataset_version=dataset_version,
        task=task,
        uri=uri,
        row_counts={"train": 90, "validation": 3, "test": 7},
        label_counts={"a": 50, "b": 50},
        label_source_counts={"source": 100},
        quarantine_counts={"EMPTY_TEXT": 2},
        create_time=NOW,
        build_time=NOW,
    )


def report(
    report_id: str, verdict: ReportVerdict = ReportVerdict.OK, kind: str = "drift"
) -> Report:
    """Return a report of a check of version 1."""
    return Report(
        report_id=report_id,
        task="support",
        kind=kind,
        model_version=1,
        verdict=verdict,
        summary="labels moved",
        details={"p_value": 0.01, "rows": 300},
        run_id="r1",
        create_time=NOW,
    )


def change(request_id: str = "", comment: str = "better", seconds: float = 0) -> Change:
    """Return a change of traffic by an operator."""
    return Change("operator", comment, request_id, later(seconds))


def validated(storage: Storage, task: str = "support") -> int:
    """Add a version that passed the gates, and return its number."""
    version = storage.models.add_candidate(task, "onnx", "d1", NOW).version
    measures = {"accuracy": 0.9}
    storage.models.judge(task, version, ModelState.VALIDATED, measures, "passed", NOW)
    return version


def at_once(call: Callable[[T], R], values: Iterable[T], threads: int = 8) -> list[R]:
    """Call a function for all values in several threads; return results in order.

    A call whose database is locked for too long is repeated, because the machine may be busy.
    """
    patient = stamina.retry(on=StorageUnavailable, attempts=None, timeout=60)(call)
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(patient, values))
