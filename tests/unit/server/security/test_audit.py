"""The content of audit records."""

from datetime import UTC, datetime

from structlog.testing import capture_logs

from tests.unit.server.security.world import PROMOTE
from tidemill.v1.model_service_pb2 import PromoteModelVersionRequest, SetTrafficRequest
from tidemill.v1.prediction_service_pb2 import BatchPredictRequest, PredictRequest
from tidemill_core.domain.access import ANONYMOUS, Authentication
from tidemill_core.storage.database import Page
from tidemill_core.storage.schema import audit_records
from tidemill_core.storage.storage import Storage
from tidemill_server.security.audit import MAX_ITEMS, MAX_STRING, Auditor, request_fields

NOW = datetime(2026, 3, 1, tzinfo=UTC)
REQUEST = PromoteModelVersionRequest(task="support", model_version=2, comment="better")


async def _record(storage: Storage, request: object) -> None:
    auditor = Auditor(storage.audit, lambda: NOW)
    await auditor.record(
        ANONYMOUS, PROMOTE, request, code="NOT_FOUND", reason="X_NOT_FOUND", peer="ipv4:a:1"
    )


async def test_an_action_is_written_down(storage: Storage) -> None:
    """A record has the caller, time, method, task, address and outcome."""
    await _record(storage, REQUEST)
    [found] = storage.audit.page("support", "anonymous", Page())[0]
    assert (found.method, found.task, found.peer) == (PROMOTE, "support", "ipv4:a:1")
    assert (found.code, found.reason, found.create_time) == ("NOT_FOUND", "X_NOT_FOUND", NOW)
    assert found.authentication is Authentication.NONE
    assert found.request == {"task": "support", "model_version": 2, "comment": "better"}


async def test_a_request_that_was_not_decoded(storage: Storage) -> None:
    """Its record has no fields."""
    await _record(storage, object())
    [found] = storage.audit.page("", "", Page())[0]
    assert (found.request, found.task) == ({}, "")


async def test_a_record_that_cannot_be_written_goes_to_the_log(storage: Storage) -> None:
    """The answer is sent anyway."""
    with storage.database.write() as connection:
        audit_records.drop(connection)
    with capture_logs() as logged:
        await _record(storage, REQUEST)
    [entry] = logged
    assert (entry["event"], entry["log_level"]) == ("audit_record_not_written", "error")
    assert (entry["caller"], entry["request"]["task"]) == ("anonymous", "support")


def test_texts_are_left_out_and_what_is_long_is_cut() -> None:
    """Records contain no texts, and their size is bounded."""
    assert request_fields(PredictRequest(task="support", text="private")) == {"task": "support"}
    assert request_fields(BatchPredictRequest(task="t", texts=["private"])) == {"task": "t"}
    long = SetTrafficRequest(task="a\0b", comment="x" * 10_000, shadows=range(1, 10_000))
    fields = request_fields(long)
    assert fields["task"] == "a\ufffdb"
    assert (len(fields["comment"]), len(fields["shadows"])) == (MAX_STRING, MAX_ITEMS)
