"""The table of reports."""

from datetime import UTC

import pytest

from tests.contract.storage.values import report
from tidemill_core.errors import NotFound
from tidemill_core.storage.database import Page
from tidemill_core.storage.storage import Storage


def test_reads_back_what_was_written(storage: Storage) -> None:
    """A report comes back equal, including its details, in UTC."""
    storage.reports.add(report("a"))
    found = storage.reports.get("a")
    assert found == report("a")
    assert found.create_time.tzinfo is UTC


def test_unknown_report(storage: Storage) -> None:
    """An unknown report id is NotFound."""
    with pytest.raises(NotFound, match="report"):
        storage.reports.get("a")


def test_pages(storage: Storage) -> None:
    """Pages have each report once, newest first, although some are added."""
    for number in range(5):
        storage.reports.add(report(f"r{number}"))
    storage.reports.add(report("other", kind="accuracy"))
    seen, token = storage.reports.page("support", "drift", Page(2))
    while token:
        storage.reports.add(report(f"late{len(seen)}"))
        rows, token = storage.reports.page("support", "drift", Page.parse(2, token))
        seen += rows
    assert [one.report_id for one in seen] == ["r4", "r3", "r2", "r1", "r0"]


def test_the_newest_of_each_task_and_kind(storage: Storage) -> None:
    """Only the wanted tasks and kinds count, and one without a report is left out."""
    for name, kind in (("a", "drift"), ("b", "accuracy"), ("c", "drift"), ("d", "rollout")):
        storage.reports.add(report(name, kind=kind))
    found = storage.reports.newest(["support", "other"], ["drift", "accuracy", "latency"])
    assert [each.report_id for each in found] == ["c", "b"]
    assert storage.reports.newest(["other"], ["drift"]) == []
