"""Fourth stage: keep each text once, with the label that is trusted most.

Texts are the same if their `content_hash` is. For each, people are asked before the source:
- The label that most of a label source's rows give wins. In a tie that source does not know:
  its rows are set aside as CONTRADICTORY_LABELS, and the next one is asked.
- Rows of the winning source with another label are CONTRADICTORY_LABELS too; rows of a less
  trusted one are CORRECTED.
- Of the rows that agree, one is kept and the others are DUPLICATE.
None of it depends on the order of the rows.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from tidemill_core.domain.example import Example, LabelSource, QuarantinedRow
from tidemill_jobs.data.rows import PlacedExample, set_aside

BY_TRUST = (LabelSource.FEEDBACK, LabelSource.SOURCE)
"""Where labels come from, most trusted first."""


def deduplicate(
    placed: Iterable[PlacedExample],
) -> tuple[list[PlacedExample], list[QuarantinedRow]]:
    """One example a text, sorted by its hash, and the rows set aside."""
    by_text: defaultdict[str, list[PlacedExample]] = defaultdict(list)
    for item in placed:
        by_text[item.text_hash].append(item)
    kept: list[PlacedExample] = []
    aside: list[QuarantinedRow] = []
    for _, same in sorted(by_text.items()):
        chosen = same[0] if len(same) == 1 else _choose(same)
        if chosen is not None:
            kept.append(chosen)
        if len(same) > 1:
            aside += _others(same, chosen)
    return kept, aside


def _choose(same: Sequence[PlacedExample]) -> PlacedExample | None:
    """The example to keep of those with one text; None if no label source knows."""
    for label_source in BY_TRUST:
        rows = [item for item in same if item.example.label_source is label_source]
        label = _majority([item.example.label for item in rows])
        if label is not None:
            agreeing = (item for item in rows if item.example.label == label)
            return min(agreeing, key=lambda item: (item.example.text, item.example.origin))
    return None


def _majority(labels: Sequence[str]) -> str | None:
    """The most frequent label; None in a tie, and of none."""
    ranked = Counter(labels).most_common(2)
    if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
        return None
    return ranked[0][0]


def _others(
    same: Sequence[PlacedExample], chosen: PlacedExample | None
) -> Iterator[QuarantinedRow]:
    """All rows of one text but the chosen one, each with the rule that set it aside."""
    for item in same:
        if item is not chosen:
            rule = _rule(item.example, None if chosen is None else chosen.example)
            value = f"{item.example.label}: {item.example.text}"
            yield set_aside(item.example.origin, rule, value)


def _rule(row: Example, chosen: Example | None) -> str:
    if chosen is None:
        return "CONTRADICTORY_LABELS"
    if row.label == chosen.label:
        return "DUPLICATE"
    if BY_TRUST.index(row.label_source) > BY_TRUST.index(chosen.label_source):
        return "CORRECTED"
    return "CONTRADICTORY_LABELS"
