"""The table of regions of drift."""

from tests.contract.storage.values import NOW
from tidemill_core.storage.storage import Storage


def _erase(storage: Storage) -> None:
    """Record that a text of the task is erased."""
    asked = storage.erasures.request("support", "a hash", "ann", NOW)
    storage.erasures.finish(asked, NOW)


def test_the_first_regions_of_a_version_stay(storage: Storage) -> None:
    """Regions come back as they were first stored, until those of the task are removed."""
    store = storage.drift_regions
    assert store.get("support", 1) is None
    for content in (b"\x00first", b"second"):
        store.add("support", 1, content, (0, 0))
    store.add("other", 1, b"other", (0, 0))
    assert (store.get("support", 1), store.get("support", 2)) == (b"\x00first", None)
    _erase(storage)
    assert (store.get("support", 1), store.get("other", 1)) == (None, b"other")


def test_regions_of_texts_that_were_erased_meanwhile_are_not_stored(storage: Storage) -> None:
    """A check that read the texts before an erasure ended stores nothing; the next one does."""
    store = storage.drift_regions
    asked = storage.erasures.request("support", "a hash", "ann", NOW)
    before = storage.erasures.counts("support")
    storage.erasures.finish(asked, NOW)
    store.add("support", 1, b"of the erased text, too", before)
    assert store.get("support", 1) is None
    before = storage.erasures.counts("support")
    _erase(storage)
    store.add("support", 1, b"of the text that was sent and erased again", before)
    assert store.get("support", 1) is None
    store.add("support", 1, b"without it", storage.erasures.counts("support"))
    assert store.get("support", 1) == b"without it"
