"""The job `send_arize`, with Arize's SDK and a local receiver that reads what it sends."""

import base64
import dataclasses
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.integration.jobs.conftest import NOW
from tests.integration.server.models import LABELS, LENGTH, WORDS, TinyModel, tokenizer_json
from tests.plugins.receivers import HttpReceiver, Request, http_receiver
from tidemill_core.domain.feedback import Feedback
from tidemill_core.domain.split import content_hash
from tidemill_core.errors import ConfigurationError
from tidemill_core.settings import ArizeSettings
from tidemill_jobs.context import JobContext
from tidemill_jobs.monitoring.tools.arize_client import ArizeUnavailable
from tidemill_jobs.monitoring.tools.arize_embeddings import SAMPLE
from tidemill_jobs.monitoring.tools.arize_export import run

Answer = Callable[..., list[str]]


@pytest.fixture
def arize() -> Iterator[HttpReceiver]:
    """Yield a receiver in Arize's place."""
    with http_receiver() as receiver:
        yield receiver


def sending(context: JobContext, arize: HttpReceiver, **changes: Any) -> JobContext:
    """Return a run whose settings name the receiver."""
    settings = ArizeSettings(api_key="the-key", space_id="the-space", url=arize.url, **changes)
    changed = context.settings.model_copy(update={"arize": settings})
    return dataclasses.replace(context, settings=changed)


def schema(request: Request) -> bytes:
    """Return what a request says about its columns."""
    metadata = pa.ipc.open_stream(request.body).schema.metadata
    return base64.b64decode(metadata[b"arize-schema"])


def rows(request: Request) -> dict[str, list[Any]]:
    """Return the columns of a request, after a check of its form."""
    assert request.path == "/pandas_arrow"
    assert request.headers["authorization"] == "the-key"
    assert request.headers["arize-space-id"] == "the-space"
    assert b"support" in schema(request)
    table = pa.ipc.open_stream(request.body).read_all()
    return {str(name): column for name, column in table.to_pydict().items()}


def judge(context: JobContext, prediction_id: str, label: str | None) -> None:
    """Store a verdict: a label, or that the answer is right."""
    correct = None if label else True
    given = (prediction_id, "support", 1, correct, label, "ana", "", "")
    before = context.clock() - timedelta(hours=1)
    context.storage.feedback.add([Feedback(f"f{prediction_id}"[:32], *given, before)])


def test_predictions_and_labels_are_sent_once(
    context: JobContext, answer: Answer, arize: HttpReceiver
) -> None:
    """Shadows and texts are not sent; a run sends what is new since the last one."""
    ids = answer("ab")
    answer("c", method="Shadow")
    answer("d", time=context.clock())
    judge(context, ids[0], "c")
    judge(context, ids[1], None)
    sent = run(sending(context, arize))
    assert sent == {"prediction_count": 2, "verdict_count": 2}
    predicted, labels = map(rows, arize.requests)
    by_id = dict(zip(predicted["prediction_id"], predicted["label"], strict=True))
    assert by_id == dict(zip(ids, "ab", strict=True))
    assert set(predicted["confidence"]) == {0.72, 0.92}
    assert "text" not in predicted
    assert dict(zip(labels["prediction_id"], labels["actual_label"], strict=True)) == {
        ids[0]: "c",
        ids[1]: "b",
    }
    assert run(sending(context, arize)) == {"prediction_count": 0, "verdict_count": 0}
    [newer] = answer("d", time=context.clock() - timedelta(minutes=30))
    assert run(sending(context, arize))["prediction_count"] == 1
    assert rows(arize.requests[-1])["prediction_id"] == [newer]


def test_an_arize_that_is_away_loses_nothing(
    context: JobContext, answer: Answer, arize: HttpReceiver
) -> None:
    """The run fails with a reason of its own, and the next one sends the same rows."""
    ids = answer("ab")
    arize.answer = lambda _: (503, {}, b"")
    with pytest.raises(ArizeUnavailable, match="503"):
        run(sending(context, arize))
    arize.answer = lambda _: (200, {}, b"{}")
    assert run(sending(context, arize))["prediction_count"] == 2
    assert sorted(rows(arize.requests[-1])["prediction_id"]) == sorted(ids)
    away = HttpReceiver("http://127.0.0.1:9")
    answer("a", time=context.clock() - timedelta(minutes=30))
    with pytest.raises(ArizeUnavailable, match=r":9\S* took no rows: Connection refused"):
        run(sending(context, away))


def test_texts_are_sent_only_if_a_setting_says_so(
    context: JobContext, answer: Answer, arize: HttpReceiver
) -> None:
    """Without what the task redacts, and without those that were erased or should have expired."""
    [answered] = answer("a")
    predictions = context.storage.predictions
    template = predictions.get(answered)
    assert template is not None
    before = template.predict_time - timedelta(days=2)
    mail = template._replace(prediction_id="mail", text="write to ana@example.org")
    old = template._replace(prediction_id="old", text="long ago", predict_time=before)
    erased = template._replace(prediction_id="erased", text="My own  words")
    predictions.add([mail, old, erased])
    context.storage.erasures.request("support", content_hash("my own words"), "ana", before)
    asked = sending(context, arize, send_texts=True)
    changes = {"redact": ["email"], "text_retention_days": 1.0}
    task = context.task_settings.model_copy(update=changes)
    settings = asked.settings.model_copy(update={"tasks": {"support": task}})
    run(dataclasses.replace(asked, settings=settings))
    sent = rows(arize.requests[0])
    texts = dict(zip(sent["prediction_id"], sent["text"], strict=True))
    assert texts.pop("mail") == "write to [EMAIL]"
    assert texts == {answered: "the text", "old": "", "erased": ""}


@pytest.mark.parametrize(
    ("sends", "store_text"), [(False, "plain"), (True, "hash"), (True, "none")]
)
def test_a_task_that_stores_no_texts_sends_none(
    context: JobContext, answer: Answer, arize: HttpReceiver, sends: bool, store_text: str
) -> None:
    """Texts from before the task's setting changed stay too, and so does what a model reads."""
    answer("a")
    asked = sending(context, arize, send_texts=sends, send_embeddings=sends)
    task = context.task_settings.model_copy(update={"store_text": store_text})
    settings = asked.settings.model_copy(update={"tasks": {"support": task}})
    run(dataclasses.replace(asked, settings=settings))
    assert not {"text", "embedding"} & set(rows(arize.requests[0]))


def test_embeddings_are_what_the_version_reads(
    context: JobContext, answer: Answer, arize: HttpReceiver
) -> None:
    """A setting sends them without the texts: at most 1,000, of length 1, alike for like texts.

    Erased texts have none, and neither do those of a version whose files are gone.
    """
    model, storage = TinyModel(3), context.storage
    manifest = context.repository.manifest("support", "onnx", 1)
    tiny = dataclasses.replace(
        manifest, version=2, labels=LABELS, sequence_length=LENGTH, vocabulary_size=len(WORDS) + 2
    )
    context.repository.publish(tiny, model.onnx(), tokenizer_json())
    for _ in range(2):
        storage.models.add_candidate("support", "onnx", "dataset", NOW)
    answered = answer("a" * (SAMPLE + 2), version=2)
    template = storage.predictions.get(answered[0])
    assert template is not None
    erased = template._replace(prediction_id="erased", text="my card")
    storage.predictions.add([erased])
    storage.erasures.request("support", content_hash("my card"), "ana", NOW)
    answer("a", version=3)
    run(sending(context, arize, send_embeddings=True))
    read, gone = map(rows, arize.requests)
    assert not {"text", "embedding"} & set(gone)
    assert "text" not in read
    vectors = dict(zip(read["prediction_id"], read["embedding"], strict=True))
    assert vectors.pop("erased") is None
    found = [vector for vector in vectors.values() if vector is not None]
    assert len(found) == SAMPLE
    assert found[0] == found[-1]
    assert np.linalg.norm(found[0]) == pytest.approx(1.0)
    assert b"representation" in schema(arize.requests[0])


def test_without_a_key_nothing_is_sent(context: JobContext) -> None:
    """The run says which settings are missing."""
    with pytest.raises(ConfigurationError, match=r"arize\.api_key and arize\.space_id"):
        run(context)
