"""New topics: unfamiliar texts that share words which the known texts hardly have.

Texts that share a frequent term form a cluster (Beil, Ester and Xu, "Frequent term-based text
clustering", 2002, https://doi.org/10.1145/775047.775110), so a topic's name is what it is made of.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
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

    Args:
        texts: a sample of the window's texts, redacted.
        ids: the id of each text's prediction.
        unfamiliar: whether each text is unfamiliar to the model.
        known_texts: texts of the training split and the hold-out.
    """
    words = [frozenset(_WORD.findall(text.casefold())) for text in texts]
    new = _new_terms(words, [_WORD.findall(text.casefold()) for text in known_texts])
    left = [place for place in range(len(texts)) if unfamiliar[place] and words[place] & new]
    topics: list[dict[str, Any]] = []
    while len(topics) < _TOPICS:
        shared = _terms(((texts[place], words[place] & new) for place in left), MIN_TEXTS)
        if not shared:
            break
        members = [place for place in left if shared[0] in words[place]]
        terms = _terms(((texts[place], words[place] & new) for place in members), MIN_TEXTS)
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


def _new_terms(words: Sequence[frozenset[str]], known: Sequence[Iterable[str]]) -> frozenset[str]:
    """Return the terms that are more frequent than in the known texts, beyond chance."""
    before = Counter(term for found in known for term in set(found))
    now = Counter(term for found in words for term in found)
    tried = {term: count for term, count in now.items() if count >= MIN_TEXTS}

    def chance(term: str) -> float:
        count, other = tried[term], before[term]
        table = [[count, len(words) - count], [other, len(known) - other]]
        return float(fisher_exact(table, alternative="greater").pvalue)

    return frozenset(term for term in tried if chance(term) * len(tried) <= _FALSE_TERMS)


def _terms(texts: Iterable[tuple[str, frozenset[str]]], fewest: int) -> list[str]:
    """Return the terms that at least `fewest` distinct texts share, the most frequent first."""
    distinct = {text.casefold(): terms for text, terms in texts}
    counts = Counter(term for terms in distinct.values() for term in terms)
    found = [(-count, term) for term, count in counts.items() if count >= fewest]
    return [term for _, term in sorted(found)]
