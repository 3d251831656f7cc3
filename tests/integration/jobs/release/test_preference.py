"""A task of the kind preference, from its pairs to a reward model in a real Triton."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from random import Random

import pytest

from tests.integration.jobs.release.conftest import Loop
from tidemill_core.domain.gate import GateVerdict
from tidemill_core.domain.job_parameters import ReproduceModelParameters
from tidemill_core.domain.model import ModelState, model_name
from tidemill_core.domain.preference import Preference
from tidemill_core.errors import DataError
from tidemill_core.rewards import rated_text
from tidemill_core.settings import LabelNames, TaskSettings
from tidemill_jobs.data.publishing.dataset import read_dataset
from tidemill_jobs.release import reproduce

_ids = count()
WORDS = (
    *("card", "phone", "book", "key", "lamp", "chair", "table", "watch", "pen"),
    *("cup", "coat", "shoe", "bag", "door", "tree", "song", "bike", "boat"),
)
KIND, RUDE = "sorry we will gladly help with the {} today", "no idea look for the {} yourself"
CLASS_GATES = ("known_labels", "class_shares", "classes")


def judge(loop: Loop, prompt: str, chosen: str, rejected: str, annotator: str = "ann") -> None:
    """Store one judgement."""
    loop.context.storage.preferences.add(
        Preference(
            preference_id=f"{next(_ids):032x}",
            task=loop.context.task,
            prompt=prompt,
            chosen=chosen,
            rejected=rejected,
            annotator=annotator,
            reason="",
            request_id="",
            create_time=datetime.now(UTC),
        )
    )


def as_preference(loop: Loop) -> None:
    """Make a task one of the kind preference."""
    settings = loop.context.settings.model_copy(
        update={"tasks": {loop.context.task: TaskSettings(kind="preference")}}
    )
    loop.context = replace(loop.context, settings=settings)


@pytest.fixture
def pairs(loop: Loop) -> Loop:
    """A task whose annotators prefer friendly answers, with no model yet."""
    as_preference(loop)
    random = Random(0)
    for _ in range(400):
        prompt, kind, rude = (" ".join(random.sample(WORDS, 6)) for _ in range(3))
        judge(loop, f"where is {prompt}?", KIND.format(kind), RUDE.format(rude))
    return loop


def test_pairs_become_a_served_reward_model(pairs: Loop) -> None:
    """A reward model passes the gates, rates in Triton, and can be reproduced."""
    first = pairs.retrain()
    assert (first["state"], first["model_version"]) == (ModelState.CHAMPION, 1), first["reason"]
    assert first["measures"]["accuracy"] > 0.9
    encoder = pairs.context.repository.encoder(pairs.context.task, "onnx", 1)
    texts = [rated_text("Where is my card?", each.format("card")) for each in (KIND, RUDE)]
    name = model_name(pairs.context.task, "onnx")
    rewards = pairs.context.triton.infer(name, 1, encoder.encode(texts))
    assert rewards.shape == (2, 1)
    assert rewards[0, 0] > rewards[1, 0] + 1
    found = pairs.context.storage.models.gate_results(pairs.context.task, 1)
    gates = {each.gate: each.verdict for each in found}
    assert all(gates[name] is GateVerdict.NOT_APPLICABLE for name in CLASS_GATES)
    applying = ("loads", "answers", "export", "weights", "leakage", "accuracy", "latency")
    assert {name: gates[name] for name in applying} == dict.fromkeys(applying, GateVerdict.PASSED)
    again = reproduce.run(
        replace(pairs.context, parameters=ReproduceModelParameters(model_version=1))
    )
    assert again["model_version"] == 1


def test_no_prompt_is_in_two_splits(pairs: Loop) -> None:
    """Pairs of a prompt share a split, ties are left out, and an equal model is promoted again."""
    for number in range(30):
        prompt = f"what is {WORDS[number % 18]} {number}?"
        for answer in range(3):
            judge(pairs, prompt, KIND.format(f"{number} {answer}"), RUDE.format(number))
    judge(pairs, "tie?", "one answer", "another answer")
    judge(pairs, "tie?", "another answer", "one answer", annotator="bob")
    first, second = pairs.retrain(), pairs.retrain()
    assert second["dataset_version"] == first["dataset_version"]
    assert (second["state"], second["model_version"]) == (ModelState.CHAMPION, 2)
    version = pairs.context.storage.datasets.get(str(first["dataset_version"]))
    assert version.quarantine_counts["CONTRADICTORY_LABELS"] == 1
    rows = read_dataset(version.uri)
    prompts = rows.select("split", prompt=rows["text"].str.split(" \x1e ").list.get(2)).unique()
    assert prompts["prompt"].is_unique().all()
    assert set(rows["label"]) == {"first", "second"}


def test_a_task_without_pairs_has_nothing_to_train_on(loop: Loop) -> None:
    """Without pairs a retraining says so, and makes no version."""
    as_preference(loop)
    with pytest.raises(DataError, match="no preference pairs"):
        loop.retrain()


def test_the_settings_of_a_preference_task_have_no_classes() -> None:
    """Settings that speak of classes are refused, and a classification task needs a source."""
    with pytest.raises(ValueError, match="labels: not for a task of the kind preference"):
        TaskSettings(kind="preference", labels=LabelNames())
    with pytest.raises(ValueError, match="name at least one"):
        TaskSettings()
