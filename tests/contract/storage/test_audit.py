"""The audit trail."""

from tests.contract.storage.values import NOW, later
from tidemill_core.domain.access import AuditRecord, Authentication
from tidemill_core.storage.database import Page
from tidemill_core.storage.storage import Storage


def _record(caller: str = "ana", task: str = "support", seconds: float = 0) -> AuditRecord:
    return AuditRecord(
        caller=caller,
        authentication=Authentication.API_KEY,
        method="/tidemill.v1.ModelService/SetTraffic",
        task=task,
        code="FAILED_PRECONDITION",
        reason="ILLEGAL_TRANSITION",
        request={"task": task, "shadows": [2], "comment": "größer"},
        peer="ipv4:127.0.0.1:5000",
        create_time=later(seconds),
    )


def test_a_record_reads_back_as_it_was_written(storage: Storage) -> None:
    """Every field comes back."""
    storage.audit.append(_record())
    assert storage.audit.page("", "", Page()) == ([_record()], "")
    assert storage.audit.page("", "", Page())[0][0].create_time == NOW


def test_pages_are_newest_first_and_filtered(storage: Storage) -> None:
    """Pages have each record once, and can be filtered by task and caller."""
    records = [_record(seconds=second) for second in range(5)]
    for record in records:
        storage.audit.append(record)
    storage.audit.append(_record(task="arxiv"))
    storage.audit.append(_record(caller="ben"))
    seen, token = storage.audit.page("support", "ana", Page(2))
    while token:
        more, token = storage.audit.page("support", "ana", Page.parse(2, token))
        seen += more
    assert seen == records[::-1]
    assert storage.audit.page("arxiv", "", Page())[0] == [_record(task="arxiv")]
    assert storage.audit.page("", "ben", Page())[0] == [_record(caller="ben")]
