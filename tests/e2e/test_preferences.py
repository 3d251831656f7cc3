"""docs/preferences.md, from pairs to a reward model that answers."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from tests.plugins.stack import Stack, running
from tests.plugins.waiting import wait_until
from tidemill.v1 import prediction_service_pb2
from tidemill_client import InvalidRequest, TidemillClient
from tidemill_core.domain.preference import Preference

WORDS = (
    *("card", "phone", "book", "key", "lamp", "chair", "table", "watch", "pen"),
    *("cup", "coat", "shoe", "bag", "door", "tree", "song", "bike", "boat"),
)
KIND, RUDE = "sorry we will gladly help with the {} today", "no idea look for the {} yourself"
PROMPT = "Where is my card?"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Run a stack whose only task has preference pairs, and no sources."""
    (tmp_path / "tidemill.toml").write_text('[tasks.helpful]\nkind = "preference"\n')
    whole = Stack(tmp_path)
    _store_pairs(whole)
    with running(whole, 300.0):
        yield whole


def _store_pairs(stack: Stack) -> None:
    """Store pairs before the stack's first start, so that its first model learns from them."""
    storage, random = stack.storage(), Random(0)
    for number in range(300):
        prompt, kind, rude = (" ".join(random.sample(WORDS, 6)) for _ in range(3))
        storage.preferences.add(
            Preference(
                preference_id=f"{number:032x}",
                task="helpful",
                prompt=f"where is {prompt}?",
                chosen=KIND.format(kind),
                rejected=RUDE.format(rude),
                annotator="ann",
                reason="",
                request_id="",
                create_time=datetime.now(UTC),
            )
        )
    storage.database.close()


def test_from_pairs_to_rewards(stack: Stack) -> None:
    """The model that is trained from pairs answers Predict with a reward, which is stored too."""
    with stack.client() as client:
        rated = [
            client.predict("helpful", PROMPT, response=each.format("card")) for each in (KIND, RUDE)
        ]
        scores = [each.score for each in rated]
        assert None not in scores
        assert scores[0] > scores[1]
        assert (rated[0].label, rated[0].scores, rated[0].model_version) == ("", (), 1)
        _check_stored(stack, client, rated[0].prediction_id, scores[0])
        for refused, reason in (
            (lambda: client.predict("helpful", PROMPT), "RESPONSE_MISSING"),
            (lambda: client.predict("helpful", PROMPT, response=" "), "BLANK_TEXT"),
            (lambda: client.predict_batch("helpful", [PROMPT]), "RESPONSE_MISSING"),
        ):
            with pytest.raises(InvalidRequest) as caught:
                refused()
            assert caught.value.reason == reason
    shown = stack.run("predict", PROMPT, "--response", KIND.format("card"))
    assert f"{scores[0]:.3f}" in shown.stdout
    as_json = stack.run("predict", PROMPT, "--response", KIND.format("card"), "--json")
    assert json.loads(as_json.stdout)["score"] == pytest.approx(scores[0], abs=1e-4)


def _check_stored(
    stack: Stack, client: TidemillClient, prediction_id: str, score: float | None
) -> None:
    """Check that the prediction log has the prompt, the answer and its reward."""
    request = prediction_service_pb2.GetPredictionRequest(prediction_id=prediction_id)
    storage = stack.storage()
    wait_until(lambda: storage.predictions.get(prediction_id), "the log has it", 30.0)
    storage.database.close()
    stored = client.predictions.GetPrediction(request, timeout=30)
    assert (stored.text, stored.response) == (PROMPT, KIND.format("card"))
    assert stored.prediction.score == score
    assert not stored.prediction.label
