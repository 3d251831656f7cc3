"""New topics: unfamiliar texts that share words which the known texts hardly have.

Texts that share a frequent term form a cluster (Beil, Ester and Xu, "Frequent term-based text
clustering", 2002, https://doi.org/10.1145/775047.775110), so a topic's name is what it is made of.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import fisher_exact

MIN_TEXTS = 5
"""The fewest distinct texts that share a term: a report never holds what fewer people wrote."""
_TOPICS = 5
_TERMS = 5
_EXAMPLES = 5
_FALSE_TERMS = 0.001
"""The probability that any term of a report is due to chance."""
_WORD = re.compile(r"[^\W\d_]{3,}")


def find_topics(
    texts: Sequence[str],
    ids: Sequence[str],
    unfamiliar: npt.NDArray[np.bool_],
    known_texts: Sequence[str],
) -> list[dict[str, Any]]:
    """Return the new topics of a window, the largest first, as a report has them.

    Texts that differ by case only count once for a term, but each is a row of its topic.

    Args:
        texts: a sample of the window's texts, redacted.
        ids: the id of each text's prediction.
        unfamiliar: whether each text is unfamiliar to the model.
        known_texts: texts of the training split and the hold-out.
    """
    words = [_words(text) for text in texts]
    new = _new_terms(_distinct(texts), _distinct(known_texts))
    left = [place for place in range(len(texts)) if unfamiliar[place] and words[place] & new]
    topics: list[dict[str, Any]] = []
    while len(topics) < _TOPICS:
        shared = _shared([texts[place] for place in left], new)
        if not shared:
            break
        members = [place for place in left if shared[0] in words[place]]
        terms = _shared([texts[place] for place in members], new)
        topics.append(
            {
                "terms": terms[:_TERMS],
                "row_count": len(members),
                "share": len(members) / len(texts),
                "example_prediction_ids": [ids[place] for place in members[:_EXAMPLES]],
            }
        )
        left = [place for place in left if shared[0] not in words[place]]
    return topics


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold()))


def _distinct(texts: Iterable[str]) -> list[frozenset[str]]:
    """Return the words of each text that differs from the others by more than case."""
    return [_words(text) for text in {text.casefold() for text in texts}]


def _new_terms(now: Sequence[frozenset[str]], before: Sequence[frozenset[str]]) -> frozenset[str]:
    """Return the terms of distinct texts that are more frequent than before, beyond chance."""
    counts, known = (Counter(chain.from_iterable(words)) for words in (now, before))
    tried = [term for term, count in counts.items() if count >= MIN_TEXTS]

    def chance(term: str) -> float:
        rows = [(counts[term], len(now)), (known[term], len(before))]
        table = [[count, total - count] for count, total in rows]
        return float(fisher_exact(table, alternative="greater").pvalue)

    return frozenset(term for term in tried if chance(term) * len(tried) <= _FALSE_TERMS)


def _shared(texts: Iterable[str], new: frozenset[str]) -> list[str]:
    """Return the new terms that enough distinct texts share, the most frequent first."""
    counts = Counter(term for words in _distinct(texts) for term in words & new)
    found = [(-count, term) for term, count in counts.items() if count >= MIN_TEXTS]
    return [term for _, term in sorted(found)]
