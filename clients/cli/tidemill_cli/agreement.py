"""How far annotators agree."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Agreement:
    """How far the annotators of label items agree.

    Attributes:
        judgements: all that are stored.
        annotators: who gave them.
        judged: items with at least one.
        judged_by_several: items with two or more.
        agreed: those of them whose judgements are all the same.
        agreement: agreed / judged_by_several; None where that is 0.
        alpha: see `nominal_alpha`, of the items that several judged.
    """

    judgements: int
    annotators: int
    judged: int
    judged_by_several: int
    agreed: int
    agreement: float | None
    alpha: float | None


def agreement_of(items: Iterable[Sequence[tuple[str, str]]]) -> Agreement:
    """The agreement on items.

    Args:
        items: each item's judgements: annotator and label. An annotator judges an item once.
    """
    judged = [judgements for judgements in items if judgements]
    counts = [Counter(label for _, label in judgements) for judgements in judged]
    several = [counter for counter in counts if counter.total() > 1]
    agreed = sum(len(counter) == 1 for counter in several)
    labels = sorted({label for counter in several for label in counter})
    return Agreement(
        judgements=sum(map(len, judged)),
        annotators=len({annotator for judgements in judged for annotator, _ in judgements}),
        judged=len(judged),
        judged_by_several=len(several),
        agreed=agreed,
        agreement=agreed / len(several) if several else None,
        alpha=nominal_alpha([[counter[label] for label in labels] for counter in several]),
    )


def nominal_alpha(counts: Sequence[Sequence[int]]) -> float | None:
    """Krippendorff's alpha, nominal: 1 is full agreement, 0 what chance gives.

    Source: Krippendorff, Content Analysis, 4th edition, chapter 12.

    Args:
        counts: judgements by unit and value: [units, values]; two or more a unit.

    Returns:
        None where all judgements are for one value, so what chance gives is not known.
    """
    if sum(map(any, zip(*counts, strict=True))) < 2:
        return None
    import krippendorff

    return float(krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))
