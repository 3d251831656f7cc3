"""The catalog of dataset versions."""

import hashlib
from dataclasses import replace
from datetime import UTC

import pytest

from tests.contract.storage.values import dataset, later
from tidemill_core.errors import InvalidArgument, NotFound
from tidemill_core.storage.database import Page
from tidemill_core.storage.storage import Storage

ONE = "abcdef12" + "0" * 56
TWO = "abcdef13" + "0" * 56
THREE = "abcdef12" + "1" * 56


def test_reads_back_what_was_written(storage: Storage) -> None:
    """A version comes back equal, including its counts, in UTC."""
    storage.datasets.add(dataset(ONE))
    found = storage.datasets.get(ONE)
    assert found == dataset(ONE)
    assert found.create_time.tzinfo is UTC


def test_a_repeated_build_updates_its_version(storage: Storage) -> None:
    """The same content is the same version; a repeated build only updates what is not content."""
    storage.datasets.add(dataset(TWO))
    storage.datasets.add(dataset(ONE))
    again = replace(
        dataset(ONE, uri="file:///elsewhere"),
        quarantine_counts={"NULL_TEXT": 7},
        source_counts={"a": {"kept": 2, "quarantined": 7}},
        erased_count=1,
        build_time=later(1),
    )
    storage.datasets.add(again)
    assert storage.datasets.get(ONE) == replace(again, uri=dataset(ONE).uri)
    assert storage.datasets.get(TWO) == dataset(TWO)


def test_the_newest_is_the_last_built(storage: Storage) -> None:
    """A build that produces an old version again makes it the newest; an erasure does not."""
    for version in (ONE, TWO, ONE):
        storage.datasets.add(dataset(version))
    assert storage.datasets.page("support", Page())[0] == [dataset(ONE), dataset(TWO)]
    storage.datasets.add(dataset(THREE))
    storage.datasets.record_erased(TWO, 3)
    found = storage.datasets.page("support", Page())[0]
    assert found == [dataset(THREE), dataset(ONE), replace(dataset(TWO), erased_count=3)]


def test_an_erasure_records_no_version(storage: Storage) -> None:
    """An erasure does not add a version that another workspace built to the catalog."""
    storage.datasets.record_erased(ONE, 1)
    assert storage.datasets.page("", Page()) == ([], "")


def test_the_start_of_an_id_is_enough(storage: Storage) -> None:
    """Eight characters identify the only version whose id starts with them."""
    storage.datasets.add(dataset(ONE))
    storage.datasets.add(dataset(TWO))
    assert storage.datasets.get("abcdef12") == dataset(ONE)
    assert storage.datasets.get("abcdef130") == dataset(TWO)


def test_an_ambiguous_start(storage: Storage) -> None:
    """A prefix that several versions share is refused; a whole id always identifies one."""
    storage.datasets.add(dataset(ONE))
    storage.datasets.add(dataset(THREE))
    with pytest.raises(InvalidArgument, match="give more of the id"):
        storage.datasets.get("abcdef12")
    assert storage.datasets.get(THREE) == dataset(THREE)


@pytest.mark.parametrize(
    "name", ["", "abcdef1", "bcdef120", "ABCDEF12", "abcdef__", "%%%%%%%%", "abcdef%2", ONE + "0"]
)
def test_what_names_nothing(storage: Storage, name: str) -> None:
    """A prefix that is too short, inside the id, in capitals or a pattern finds nothing."""
    storage.datasets.add(dataset(ONE))
    with pytest.raises(NotFound) as caught:
        storage.datasets.get(name)
    assert caught.value.reason == "DATASET_VERSION_NOT_FOUND"


def test_pages(storage: Storage) -> None:
    """Pages have a task's versions, newest first, each once."""
    versions = [dataset(hashlib.sha256(bytes([n])).hexdigest()) for n in range(5)]
    for version in versions:
        storage.datasets.add(version)
    storage.datasets.add(dataset(ONE, task="arxiv"))
    seen, token = storage.datasets.page("support", Page(2))
    while token:
        rows, token = storage.datasets.page("support", Page.parse(2, token))
        seen += rows
    assert seen == versions[::-1]
    assert len(storage.datasets.page("", Page())[0]) == 6
