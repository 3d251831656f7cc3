"""The items of an API, and the source that reads them."""

from collections.abc import Callable

from tests.unit.jobs.data.sources.landing import Landing
from tidemill_jobs.data.sources.source import Source

Declare = Callable[..., Source]


def item_of(key: int, **values: object) -> dict[str, object]:
    """Return an item with its key, a text and a label."""
    return {"id": key, "text": f"text {key}", "label": "a", **values}


def pages_of(*keys: list[int]) -> list[list[dict[str, object]]]:
    """Return pages of items."""
    return [[item_of(key) for key in page] for page in keys]


def keys_of(landing: Landing) -> list[object]:
    """Return the keys of the landed rows."""
    return [row["key"] for row in landing.rows]
