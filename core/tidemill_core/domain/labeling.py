"""Texts that wait for people's labels, and what people say of them."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

MAX_LABEL_LENGTH = 200
"""Characters of a label that a person gives."""
MAX_EXTRA_JUDGEMENTS = 2
"""How many more than wanted are asked for where people do not agree."""


class LabelReason(StrEnum):
    """Why people are asked."""

    AUDIT = "AUDIT"
    """A random slice of what was predicted, chosen without regard to the model."""
    UNCERTAIN = "UNCERTAIN"
    """The model was hardly confident."""
    SUSPECTED_ERROR = "SUSPECTED_ERROR"
    """The label that the text has is probably wrong."""
    DISAGREEMENT = "DISAGREEMENT"
    """Users who judged one prediction contradict each other."""


class LabelItemState(StrEnum):
    """Where an item stands."""

    OPEN = "OPEN"
    """Waits for judgements, and nobody is at it."""
    LEASED = "LEASED"
    """Waits for judgements, and somebody is at it."""
    DONE = "DONE"
    """People decided; `label` says how."""
    UNRESOLVED = "UNRESOLVED"
    """People do not agree, and no more of them are asked."""
    EXPIRED = "EXPIRED"
    """Its text was removed before people decided."""


@dataclass(frozen=True)
class LabelRequest:
    """A wish that people label a text.

    Attributes:
        task: the task whose labels are meant.
        text: what to label.
        reason: why.
        text_time: since when the text is kept; its retention counts from then.
        suggested_labels: what it may be, the likeliest first; empty where nothing should sway
            people.
        inclusion_probability: the probability in (0, 1] with which the origin was chosen; None
            where that is not known.
        origin: what it was chosen from: a prediction id, or where a row stands. An origin is
            asked about once for each reason. Empty where it has none.
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
    """What one annotator says of one item.

    Attributes:
        label_item_id: the item.
        annotator: who says so.
        label: what they say.
        request_id: the caller's key for repeating safely; may be empty.
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
        text: as in `LabelRequest`; empty once it was removed.
        reason: as in `LabelRequest`.
        suggested_labels: as in `LabelRequest`.
        inclusion_probability: as in `LabelRequest`.
        origin_count: how many requests it stands for. An audit weighs
            origin_count / inclusion_probability.
        state: where it stands.
        judgements_wanted: how many judgements decide, where they agree.
        judgements: those that are in, oldest first.
        label: what people decided, once it is DONE; otherwise empty.
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


def clean_label(label: str) -> str:
    """A label as datasets have it: NFC, single-spaced, no space around it."""
    return " ".join(unicodedata.normalize("NFC", label).split())


def resolve(labels: Sequence[str], wanted: int) -> tuple[LabelItemState, str]:
    """What judgements make of an item: its state, and its label where that is DONE.

    The label that was given most often wins, once as many judgements are in as are wanted. While
    several were given equally often one more is asked for, up to MAX_EXTRA_JUDGEMENTS more.

    Args:
        labels: one a judgement; not empty.
        wanted: judgements that decide where there is no tie.
    """
    if len(labels) < wanted:
        return LabelItemState.OPEN, ""
    (label, most), *others = Counter(labels).most_common(2)
    if not others or others[0][1] < most:
        return LabelItemState.DONE, label
    exhausted = len(labels) >= wanted + MAX_EXTRA_JUDGEMENTS
    return LabelItemState.UNRESOLVED if exhausted else LabelItemState.OPEN, ""
