"""Texts that are queued for people to label, and their judgements."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from tidemill_core.domain.label_names import Renames, current

MAX_LABEL_LENGTH = 200
"""Longest label that a person may give, in characters."""
MAX_EXTRA_JUDGEMENTS = 2
"""Judgements requested beyond the wanted number while people do not agree."""


class LabelReason(StrEnum):
    """Why people are asked to label a text."""

    AUDIT = "AUDIT"
    """A random sample of the predictions, chosen independently of the model."""
    UNCERTAIN = "UNCERTAIN"
    """The model's first two labels are almost equally likely."""
    SUSPECTED_ERROR = "SUSPECTED_ERROR"
    """The text's label is probably wrong, or feedback on it is held."""
    DISAGREEMENT = "DISAGREEMENT"
    """Users who judged one prediction contradict each other, or two versions do."""
    NEW_TOPIC = "NEW_TOPIC"
    """It belongs to a topic that a drift report found."""


class LabelItemState(StrEnum):
    """The state of an item."""

    OPEN = "OPEN"
    """Waits for judgements, and no annotator holds it."""
    LEASED = "LEASED"
    """Waits for judgements, and an annotator holds it."""
    DONE = "DONE"
    """People decided on `label`."""
    UNRESOLVED = "UNRESOLVED"
    """People do not agree, and no more judgements are requested."""
    EXPIRED = "EXPIRED"
    """Its text was removed before people decided."""


@dataclass(frozen=True)
class LabelRequest:
    """A request that people label a text.

    Attributes:
        task: the task whose labels are used.
        text: the text to label.
        reason: why it is queued.
        text_time: when the text was stored; its retention counts from then.
        suggested_labels: likely labels, the likeliest first; empty where suggestions would bias
            people.
        inclusion_probability: the probability in (0, 1] with which the origin was chosen; None if
            unknown.
        origin: a prediction id, or the place of a row. Each origin is queued once for each
            reason. Empty if it has none.
    """

    task: str
    text: str
    reason: LabelReason
    text_time: datetime
    suggested_labels: tuple[str, ...] = ()
    inclusion_probability: float | None = None
    origin: str = ""


@dataclass(frozen=True)
class Judgement:
    """One annotator's label for one item.

    Attributes:
        label_item_id: the item.
        annotator: who gave the label.
        label: the label.
        request_id: the caller's id for safe retries; may be empty.
        create_time: when it was stored.
    """

    label_item_id: str
    annotator: str
    label: str
    request_id: str
    create_time: datetime


@dataclass(frozen=True)
class LabelItem:
    """A text that people are asked to label.

    Attributes:
        label_item_id: its id.
        task: as in `LabelRequest`.
        text: as in `LabelRequest`; empty once it is removed.
        reason: as in `LabelRequest`.
        suggested_labels: as in `LabelRequest`.
        inclusion_probability: as in `LabelRequest`.
        origin_count: how many requests it covers. Its weight in an audit is
            origin_count / inclusion_probability.
        state: its state.
        judgements_wanted: how many judgements decide if they agree.
        judgements: the judgements so far, oldest first.
        label: the label that people decided on, once it is DONE; otherwise empty.
        create_time: when it was queued.
        lease_expire_time: when the last lease on it ends, while it is LEASED.
        resolve_time: when it became DONE or UNRESOLVED.
    """

    label_item_id: str
    task: str
    text: str
    reason: LabelReason
    suggested_labels: tuple[str, ...]
    inclusion_probability: float | None
    origin_count: int
    state: LabelItemState
    judgements_wanted: int
    judgements: tuple[Judgement, ...]
    label: str
    create_time: datetime
    lease_expire_time: datetime | None
    resolve_time: datetime | None


def by_current_names(item: LabelItem, renames: Renames) -> LabelItem:
    """Return an item with the current names of its labels."""
    return replace(
        item,
        label=current(item.label, renames),
        suggested_labels=tuple(
            dict.fromkeys(current(label, renames) for label in item.suggested_labels)
        ),
        judgements=tuple(
            replace(judgement, label=current(judgement.label, renames))
            for judgement in item.judgements
        ),
    )


def resolve(labels: Sequence[str], wanted: int) -> tuple[LabelItemState, str]:
    """Return an item's state after its judgements, and its label if it is DONE.

    Once there are `wanted` judgements, the most frequent label wins. While several labels tie,
    one more judgement is requested, up to MAX_EXTRA_JUDGEMENTS more.

    Args:
        labels: the label of each judgement; not empty.
        wanted: how many judgements decide if there is no tie.
    """
    if len(labels) < wanted:
        return LabelItemState.OPEN, ""
    (label, most), *others = Counter(labels).most_common(2)
    if not others or others[0][1] < most:
        return LabelItemState.DONE, label
    exhausted = len(labels) >= wanted + MAX_EXTRA_JUDGEMENTS
    return LabelItemState.UNRESOLVED if exhausted else LabelItemState.OPEN, ""
