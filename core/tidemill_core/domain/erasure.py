"""Texts that a person asked to have erased."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Erasure:
    """One text to be erased, known by its hash and those of its other forms.

    Attributes:
        erasure_id: its id, in hex.
        task: the task.
        text_hash: `content_hash` of the text.
        requested_by: who asked for it.
        create_time: when.
        erase_time: when the text was gone from everywhere; None until then.
        counts: where it was found, in rows: predictions, feedback, preferences, label_items,
            intake, datasets.
        aliases: `content_hash` of the forms that it was found in: cleaned, by any recipe, or, where
            a cleaned text was asked for, as it came in.
        requests: how often it was asked for.
    """

    erasure_id: str
    task: str
    text_hash: str
    requested_by: str
    create_time: datetime
    erase_time: datetime | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    requests: int = 1
