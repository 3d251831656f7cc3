"""Predict: answers, and every kind of wrong request."""

from typing import Any

import grpc
import pytest

from tests.integration.server.front import BOTH_TRANSPORTS, MAX_TEXT_LENGTH, Front
from tests.integration.server.models import LABELS, TinyModel
from tests.integration.server.refusal import refusal, words
from tidemill.v1 import prediction_service_pb2 as pb

pytestmark = BOTH_TRANSPORTS
TEXT = "lost my card"


def ask(front: Front, **fields: Any) -> pb.Prediction:
    """Request one prediction."""
    request = pb.PredictRequest(**{"task": "support", "text": TEXT, **fields})
    return front.predictions.Predict(request, timeout=10).prediction


@pytest.mark.parametrize("text", [TEXT, "Refund the FEE", "nothing known 漢字 🙂", "a\tb\nc\r"])
def test_the_answer_is_the_models_own(front: Front, text: str) -> None:
    """Label, confidence and all scores are those of the model offline."""
    expected = TinyModel(1).offline([text])[0]
    answer = ask(front, text=text, top_k=len(LABELS))
    scores = {score.label: score.score for score in answer.scores}
    assert scores == pytest.approx(dict(zip(LABELS, expected.tolist(), strict=True)), abs=1e-5)
    assert answer.label == answer.scores[0].label == LABELS[expected.argmax()]
    assert answer.confidence == answer.scores[0].score == pytest.approx(expected.max(), abs=1e-5)
    assert answer.model_version == 1
    assert answer.prediction_id


@pytest.mark.parametrize(
    ("broken", "whole"),
    [("lost\x0bmy card", "lost my card"), ("my card\x97the fee", "my card—the fee")],
)
def test_a_text_is_repaired_as_training_texts_are(front: Front, broken: str, whole: str) -> None:
    """Damage from transport neither makes a text refused nor changes its answer."""
    one, other = ask(front, text=broken), ask(front, text=whole)
    assert (one.label, one.confidence) == (other.label, pytest.approx(other.confidence))


def test_a_version_abstains_by_the_threshold_of_its_manifest(front: Front) -> None:
    """An answer below the threshold of the version that gives it is marked, and has its label."""
    sure, unsure = (ask(front, task="swapped", model_version=version) for version in (1, 2))
    assert (sure.abstained, unsure.abstained) == (False, True)
    assert unsure.label in LABELS


@pytest.mark.parametrize(("top_k", "count"), [(0, 1), (1, 1), (3, 3), (99, 4), (2**31 - 1, 4)])
def test_top_k_limits_the_scores(front: Front, top_k: int, count: int) -> None:
    """The best scores are returned first, at most as many as there are labels."""
    scores = [score.score for score in ask(front, top_k=top_k).scores]
    assert len(scores) == count
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"top_k": -1}, "INVALID_TOP_K", "top_k"),
        ({"text": ""}, "BLANK_TEXT", "text"),
        ({"text": " \n\t\u3000"}, "BLANK_TEXT", "text"),
        ({"text": "\u200b\u200d"}, "BLANK_TEXT", "text"),
        ({"text": "x" * (MAX_TEXT_LENGTH + 1)}, "TEXT_TOO_LONG", "text"),
        ({"text": "a\0b"}, "CONTROL_CHARACTERS", "text"),
        ({"text": "a\x1bb"}, "CONTROL_CHARACTERS", "text"),
        ({"text": "a\x81b"}, "CONTROL_CHARACTERS", "text"),
        ({"task": "unheard_of"}, "UNKNOWN_TASK", "task"),
        ({"task": ""}, "UNKNOWN_TASK", "task"),
        ({"task": "a\0"}, "UNKNOWN_TASK", "task"),
        ({"model_version": 77}, "UNKNOWN_MODEL_VERSION", "model_version"),
        ({"model_version": -1}, "UNKNOWN_MODEL_VERSION", "model_version"),
        ({"request_id": "r" * 201}, "VALUE_TOO_LONG", "request_id"),
        ({"routing_key": "r" * 201}, "VALUE_TOO_LONG", "routing_key"),
        ({"request_id": "r\0"}, "CONTROL_CHARACTERS", "request_id"),
        (
            {"attributes": dict.fromkeys(map(str, range(17)), "")},
            "TOO_MANY_ATTRIBUTES",
            "attributes",
        ),
        ({"attributes": {"channel": "v" * 201}}, "VALUE_TOO_LONG", "attributes[channel]"),
        ({"attributes": {"k" * 201: "v"}}, "VALUE_TOO_LONG", "attributes"),
    ],
)
def test_a_wrong_request_is_refused_by_field(
    front: Front, fields: dict[str, Any], reason: str, field: str
) -> None:
    """Each broken rule is INVALID_ARGUMENT with its reason and field."""
    assert words(refusal(lambda: ask(front, **fields))) == ("INVALID_ARGUMENT", reason, field)


def test_a_text_that_is_too_long_is_told_both_lengths(front: Front) -> None:
    """A text of 1 MiB is refused with the limit and its length."""
    refused = refusal(lambda: ask(front, text="x" * 2**20))
    assert words(refused) == ("INVALID_ARGUMENT", "TEXT_TOO_LONG", "text")
    assert str(MAX_TEXT_LENGTH) in refused.message
    assert str(2**20) in refused.message


def test_the_limit_counts_characters(front: Front) -> None:
    """A text of exactly the limit is answered, also in characters of four bytes."""
    assert ask(front, text="🙂" * MAX_TEXT_LENGTH).prediction_id


def test_a_task_without_a_champion_cannot_answer(front: Front) -> None:
    """A task without a model is FAILED_PRECONDITION, NO_CHAMPION."""
    refused = refusal(lambda: ask(front, task="untrained"))
    assert words(refused) == ("FAILED_PRECONDITION", "NO_CHAMPION", "")


def test_an_unknown_method_is_unimplemented(front: Front) -> None:
    """A method that does not exist is UNIMPLEMENTED."""
    guess: Any = front.channel.unary_unary("/tidemill.v1.PredictionService/Guess")
    assert refusal(lambda: guess(b"", timeout=5)).code == "UNIMPLEMENTED"


def test_an_oversized_message_is_refused_unread(front: Front) -> None:
    """A message above the server's limit is RESOURCE_EXHAUSTED, and the channel stays usable."""
    refused = refusal(lambda: ask(front, text="x" * (21 * 2**20)))
    assert refused.code == grpc.StatusCode.RESOURCE_EXHAUSTED.name
    assert ask(front).label


def test_a_poisonous_text_fails_alone(front: Front) -> None:
    """NaN for one text is INTERNAL for its caller, while concurrent ones are answered."""
    texts = [TEXT] * 20 + ["poison"] + [TEXT] * 20
    calls = [
        front.predictions.Predict.future(pb.PredictRequest(task="support", text=text), timeout=10)
        for text in texts
    ]
    refused = refusal(calls[20].result)
    assert words(refused) == ("INTERNAL", "MODEL_OUTPUT_INVALID", "")
    assert all(call.result().prediction.label for i, call in enumerate(calls) if i != 20)
