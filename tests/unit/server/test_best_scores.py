"""The labels in an answer."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tidemill_server.inference.answers import best_scores

rows = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=30)


@given(rows, st.integers(0, 2**31 - 1))
def test_the_best_come_first(probabilities: list[float], top_k: int) -> None:
    """The scores are the largest, in falling order, each with its own label."""
    labels = [f"l{i}" for i in range(len(probabilities))]
    scores = best_scores(np.array(probabilities, dtype=np.float32), labels, top_k)
    assert len(scores) == min(max(top_k, 1), len(labels))
    assert [s.score for s in scores] == sorted(probabilities, reverse=True)[: len(scores)]
    assert all(probabilities[labels.index(s.label)] == s.score for s in scores)


@given(rows, st.integers(0, 40))
def test_equal_scores_keep_the_labels_order(probabilities: list[float], top_k: int) -> None:
    """Among equal scores the first label wins, for every number of scores."""
    labels = [f"l{i:02d}" for i in range(len(probabilities))]
    rounded = np.array([round(p, 1) for p in probabilities], dtype=np.float32)
    scores = best_scores(rounded, labels, top_k)
    assert list(scores) == sorted(scores, key=lambda s: (-s.score, s.label))
    assert scores[0] == best_scores(rounded, labels, 1)[0]
