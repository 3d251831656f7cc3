"""BatchPredict: results in their places."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.integration.server.front import BOTH_TRANSPORTS, MAX_TEXT_LENGTH, Front
from tests.integration.server.models import LABELS, WORDS, TinyModel
from tests.integration.server.refusal import read, refusal, words
from tidemill.v1 import prediction_service_pb2 as pb

pytestmark = BOTH_TRANSPORTS


def ask(front: Front, texts: Sequence[str], **fields: Any) -> list[pb.BatchPredictResult]:
    """Request many predictions."""
    request = pb.BatchPredictRequest(**{"task": "support", **fields}, texts=texts)
    return list(front.predictions.BatchPredict(request, timeout=20).results)


def test_the_largest_batch_comes_back_in_order(front: Front) -> None:
    """1,024 texts get 1,024 answers, each the model's own for the text in its place."""
    texts = [f"{WORDS[i % 9]} {WORDS[i // 9 % 9]} {WORDS[i // 81 % 9]}" for i in range(1024)]
    expected = TinyModel(1).offline(texts)
    results = ask(front, texts, top_k=2)
    assert [result.prediction.label for result in results] == [
        LABELS[i] for i in expected.argmax(axis=1)
    ]
    confidences = [result.prediction.confidence for result in results]
    assert confidences == pytest.approx(expected.max(axis=1).tolist(), abs=1e-5)
    assert {len(result.prediction.scores) for result in results} == {2}
    assert len({result.prediction.prediction_id for result in results}) == 1024


def test_a_bad_text_is_answered_in_its_place(front: Front) -> None:
    """Each text that breaks a rule has its own error; all others are answered."""
    texts = ["card", " ", "fee", "a\0", "lost", "x" * (MAX_TEXT_LENGTH + 1), "money"]
    results = ask(front, texts)
    refusals = {
        i: words(read(result.error))
        for i, result in enumerate(results)
        if result.WhichOneof("result") == "error"
    }
    assert refusals == {
        1: ("INVALID_ARGUMENT", "BLANK_TEXT", "texts[1]"),
        3: ("INVALID_ARGUMENT", "CONTROL_CHARACTERS", "texts[3]"),
        5: ("INVALID_ARGUMENT", "TEXT_TOO_LONG", "texts[5]"),
    }
    assert all(results[i].prediction.label for i in (0, 2, 4, 6))


def test_a_poisonous_text_costs_its_neighbours_nothing(front: Front) -> None:
    """A text for which the model answers NaN gets an error; all others are answered."""
    texts = ["card"] * 200
    texts[70] = texts[150] = "my poison"
    results = ask(front, texts)
    errors = [i for i, result in enumerate(results) if result.WhichOneof("result") == "error"]
    assert errors == [70, 150]
    assert words(read(results[70].error)) == ("INTERNAL", "MODEL_OUTPUT_INVALID", "")


def test_a_batch_of_bad_texts_asks_nobody(front: Front) -> None:
    """If no text is valid, every result is an error."""
    results = ask(front, ["", "\0"])
    assert [read(result.error).reason for result in results] == ["BLANK_TEXT", "CONTROL_CHARACTERS"]


@pytest.mark.parametrize(
    ("count", "fields", "reason", "field"),
    [
        (0, {}, "EMPTY_BATCH", "texts"),
        (1025, {}, "BATCH_TOO_LARGE", "texts"),
        (1, {"task": "unheard_of"}, "UNKNOWN_TASK", "task"),
        (1, {"top_k": -1}, "INVALID_TOP_K", "top_k"),
        (1, {"model_version": 9}, "UNKNOWN_MODEL_VERSION", "model_version"),
        (1, {"request_id": "r" * 201}, "VALUE_TOO_LONG", "request_id"),
    ],
)
def test_what_concerns_all_texts_refuses_the_batch(
    front: Front, count: int, fields: dict[str, Any], reason: str, field: str
) -> None:
    """A rule broken for the whole batch is INVALID_ARGUMENT with its reason and field."""
    refused = refusal(lambda: ask(front, ["card"] * count, **fields))
    assert words(refused) == ("INVALID_ARGUMENT", reason, field)
