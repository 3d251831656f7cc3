"""The table of regions of drift."""

from tidemill_core.storage.storage import Storage


def test_the_first_regions_of_a_version_stay(storage: Storage) -> None:
    """Regions come back as they were first stored, until those of the task are removed."""
    store = storage.drift_regions
    assert store.get("support", 1) is None
    for content in (b"\x00first", b"second"):
        store.add("support", 1, content)
    store.add("other", 1, b"other")
    assert (store.get("support", 1), store.get("support", 2)) == (b"\x00first", None)
    store.forget("support")
    assert (store.get("support", 1), store.get("other", 1)) == (None, b"other")
