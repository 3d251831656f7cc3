"""Models that follow the class shares of today's traffic."""

from dataclasses import replace

import numpy as np
import pytest

from tidemill_jobs.training.class_shares import PRIOR_AUDITS, odds, weighted_audits, without_odds
from tidemill_jobs.training.export import EXPORTERS, compare
from tidemill_jobs.training.labeled_texts import TrainingData
from tidemill_jobs.training.tracking import Untracked
from tidemill_jobs.training.train import TrainedModel, TrainingConfig, train

LABELS = ("a", "b")


def test_audits_move_the_shares_as_far_as_there_are_some() -> None:
    """As many audits as the prior counts for move a class half of the way; none change nothing."""
    even = np.full((10, 2), 0.5, np.float32)
    assert odds(LABELS, even, {}) == pytest.approx([1.0, 1.0])
    assert odds(LABELS, even, {"a": float(PRIOR_AUDITS)}) == pytest.approx([1.5, 0.5])
    assert odds(LABELS, even, {"unknown": 1000.0}) == pytest.approx([1.0, 1.0])
    many = odds(LABELS, even, {"a": 9e6, "b": 1e6})
    assert many == pytest.approx([1.8, 0.2], abs=1e-4)


def test_an_adaptation_follows_bayes_and_can_be_taken_back() -> None:
    """The posterior under shares of 0.9 and 0.1 is that of Bayes' rule with these priors."""
    likelihoods = np.array([[0.3, 0.7], [0.6, 0.4]])
    before, now = np.array([0.5, 0.5]), np.array([0.9, 0.1])
    answered = (likelihoods * before / (likelihoods @ before)[:, None]).astype(np.float32)
    expected = likelihoods * now / (likelihoods @ now)[:, None]
    found = answered * odds(LABELS, np.full((4, 2), 0.5, np.float32), {"a": 9e9, "b": 1e9})
    assert found / found.sum(axis=1, keepdims=True) == pytest.approx(expected, abs=1e-5)
    factors = np.array([1.8, 0.2], np.float32)
    adapted = answered * factors / (answered * factors).sum(axis=1, keepdims=True)
    assert without_odds(adapted, factors) == pytest.approx(answered, abs=1e-6)


def test_an_audit_that_was_less_likely_counts_for_more() -> None:
    """Ten audits at 0.1 have the share of a hundred at 1; together they are as good as fewer."""
    found = weighted_audits([("a", 0.1)] * 10 + [("b", 1.0)] * 100)
    assert found["a"] == pytest.approx(found["b"])
    assert sum(found.values()) == pytest.approx(200**2 / (10 * 100 + 100))
    assert weighted_audits([]) == {}


def test_a_model_follows_the_audits(model: TrainedModel, data: TrainingData) -> None:
    """Its file answers so in each format; its measures and its weights stay, and it reproduces."""
    config = TrainingConfig(
        model.record.network, model.record.hyperparameters, audits={"dry": 500.0}
    )
    followed = train(data, config, lambda _done, _doing: None, Untracked())
    assert followed.test_measures == model.test_measures
    assert followed.record.odds["dry"] > 1.5 > 0.5 > followed.record.odds["wet"]
    factors = np.array([followed.record.odds[label] for label in followed.labels], np.float32)
    texts = data.test.texts
    plain = without_odds(followed.probabilities(texts), factors)
    assert plain == pytest.approx(model.probabilities(texts), abs=1e-5)
    for name, export in EXPORTERS.items():
        content = export(followed.classifier, followed.sequence_length)
        assert compare(content, name, followed.classifier, followed.encoder, texts) < 1e-4
    again = train(data, config, lambda _done, _doing: None, Untracked())
    assert again.record == followed.record
    other = train(data, replace(config, audits={"wet": 500.0}), lambda _d, _m: None, Untracked())
    assert other.record.weights != followed.record.weights
