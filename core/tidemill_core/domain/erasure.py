"""Requests to erase texts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Erasure:
    """One text to erase, identified by its hash and the hashes of its other forms.

    Attributes:
        erasure_id: its id, in hex.
        task: the task.
        text_hash: `content_hash` of the text.
        requested_by: who requested it.
        create_time: when it was requested.
        erase_time: when the text was erased everywhere; None until then.
        counts: rows in which it was found, by place: predictions, feedback, preferences,
            label_items, intake, datasets.
        aliases: `content_hash` of the forms in which it was found: cleaned by any recipe, or, if
            the request gave a cleaned text, as ingested.
        requests: how often it was requested.
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
