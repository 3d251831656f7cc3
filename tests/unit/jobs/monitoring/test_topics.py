"""New topics among unfamiliar texts."""

import numpy as np

from tidemill_jobs.monitoring.drift.topics import find_topics

KNOWN = [f"where is my card {number}" for number in range(400)]
NAMES = ("anna", "bert", "carl", "dora", "emil")


def topics_of(texts: list[str], unfamiliar: bool = True) -> list[tuple[list[str], int]]:
    """Return the terms and the rows of the topics of texts that the model does not know."""
    ids = [f"p{number}" for number in range(len(texts))]
    flags = np.array([unfamiliar and "card" not in text for text in texts])
    found = find_topics(texts, ids, flags, KNOWN)
    assert all(texts[int(each["example_prediction_ids"][0][1:])] for each in found)
    return [(each["terms"], each["row_count"]) for each in found]


def test_texts_that_share_a_new_word_are_a_topic() -> None:
    """Each topic has its words, the most frequent first, and the largest topic comes first."""
    mortgages = [f"mortgage for a house, case {number}" for number in range(40)]
    coins = [f"bitcoin wallet {number}" for number in range(30)] * 2
    mortgages += [f"mortgage rate {number}" for number in range(35)]
    found = topics_of([*KNOWN, *coins, *mortgages])
    assert found == [
        (["mortgage", "case", "for", "house", "rate"], 75),
        (["bitcoin", "wallet"], 60),
    ]


def test_a_topic_needs_five_distinct_texts() -> None:
    """One text that many people send, or a word of four texts, names no topic."""
    repeated = ["my name is Wilhelmina"] * 50 + ["MY NAME IS WILHELMINA"] * 50
    rare = [f"zebra {name}" for name in NAMES[:4]] * 20
    assert topics_of([*KNOWN, *repeated, *rare]) == []


def test_familiar_texts_and_known_words_make_no_topic() -> None:
    """Words of the training texts, and texts that the model knows, are not new."""
    assert topics_of([*KNOWN, *(f"my card {number} is where" for number in range(50))]) == []
    mortgages = [f"mortgage {number}" for number in range(50)]
    assert topics_of([*KNOWN, *mortgages], unfamiliar=False) == []


def test_a_window_without_unfamiliar_texts_has_no_topics() -> None:
    """No text, and texts without words, make no topic."""
    assert topics_of(["", "12 34"]) == []
