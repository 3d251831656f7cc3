"""The agreement of annotators."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Agreement:
    """The agreement of the annotators of label items.

    Attributes:
        judgements: the number of judgements.
        annotators: the number of annotators.
        judged: the number of items with at least one judgement.
        judged_by_several: the number of items with at least two judgements.
        agreed: the number of those whose judgements are all the same.
        agreement: agreed / judged_by_several; None if that is 0.
        alpha: `nominal_alpha` of the items that several annotators judged.
    """

    judgements: int
    annotators: int
    judged: int
    judged_by_several: int
    agreed: int
    agreement: float | None
    alpha: float | None


def agreement_of(items: Iterable[Sequence[tuple[str, str]]]) -> Agreement:
    """Return the agreement on items.

    Args:
        items: for each item, its judgements as annotator and label, at most one per annotator.
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
    """Return Krippendorff's nominal alpha: 1 is full agreement, 0 is that of chance.

    Source: Krippendorff, Content Analysis, 4th edition, chapter 12.

    Args:
        counts: judgements by unit and value: [units, values]; at least two per unit.

    Returns:
        None if all judgements have the same value, since the agreement of chance is unknown.
    """
    if sum(map(any, zip(*counts, strict=True))) < 2:
        return None
    import krippendorff

    return float(krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))
