"""Actions of tests on label items."""

from tests.contract.storage.values import judgement, later
from tidemill_core.domain.labeling import LabelItem, LabelItemState
from tidemill_core.storage.database import Page
from tidemill_core.storage.label_leases import LeaseRequest
from tidemill_core.storage.storage import Storage

LEASE = 60.0
"""Seconds."""


def all_items(storage: Storage, *states: LabelItemState, seconds: float = 0) -> list[LabelItem]:
    """Return every item in one of the states, oldest first."""
    found = storage.label_items.page("", states, None, Page(1000), later(seconds))[0]
    return found[::-1]


def lease(
    storage: Storage, annotator: str = "ana", count: int = 10, seconds: float = 0, request: str = ""
) -> list[LabelItem]:
    """Lease items for an annotator at `seconds` after NOW, for LEASE seconds."""
    wish = LeaseRequest("support", annotator, count, later(seconds + LEASE), request)
    return storage.label_items.lease(wish, later(seconds))[0]


def texts_of(items: list[LabelItem]) -> list[str]:
    """Return the texts of items."""
    return [item.text for item in items]


def say(storage: Storage, item: LabelItem, label: str, annotator: str, seconds: float = 0) -> None:
    """Submit an annotator's label at `seconds` after NOW."""
    said = judgement(item.label_item_id, label, annotator=annotator, create_time=later(seconds))
    storage.label_items.submit("support", said, {})
