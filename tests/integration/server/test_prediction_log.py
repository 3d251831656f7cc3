"""The prediction log, in which every prediction is stored once despite outages."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.server.front import Front, Workspace
from tests.integration.server.load import TEXT, Callers
from tests.integration.server.refusal import refusal, words
from tests.plugins.triton import RunningTriton
from tests.plugins.waiting import wait_until
from tidemill.v1 import feedback_service_pb2
from tidemill.v1 import prediction_service_pb2 as pb


@pytest.fixture
def house(tmp_path: Path, frail_triton: RunningTriton) -> Iterator[tuple[Workspace, Front]]:
    """Return a workspace and a front for one test; Triton is shared."""
    workspace = Workspace(tmp_path, {"support": 1})
    with Front(workspace, frail_triton.grpc_address) as front:
        yield workspace, front


def ask_in_each_way(front: Front, caller: int) -> list[str]:
    """Make 2,500 predictions: 250 by Predict, 1,250 by BatchPredict, 1,000 by StreamPredict."""
    stub, ids = front.predictions, []
    name = f"log-{caller}"
    one = pb.PredictRequest(task="support", text=TEXT, request_id=name)
    for _ in range(5):  # all together would be more than a slow machine admits
        calls = [stub.Predict.future(one, timeout=60) for _ in range(50)]
        ids += [call.result().prediction.prediction_id for call in calls]
    for _ in range(5):
        many = pb.BatchPredictRequest(task="support", texts=[TEXT] * 250, request_id=name)
        results = stub.BatchPredict(many, timeout=60).results
        ids += [result.prediction.prediction_id for result in results]
    item = pb.StreamPredictRequest(id=name, task="support", text=TEXT)
    stream = stub.StreamPredict(iter([item] * 1000), timeout=60)
    return ids + [answer.prediction.prediction_id for answer in stream]


def test_ten_thousand_predictions_are_stored_once_each(front: Front, workspace: Workspace) -> None:
    """Exactly the answers to four callers, over three methods, are stored."""
    with ThreadPoolExecutor(4) as pool:
        answered = [x for ids in pool.map(ask_in_each_way, [front] * 4, range(4)) for x in ids]

    def stored() -> list[str]:
        return [row[0] for row in workspace.stored() if row[4].startswith("log-")]

    wait_until(lambda: len(stored()) >= 10_000, "10,000 predictions are stored")
    assert sorted(stored()) == sorted(answered)
    assert len(set(answered)) == 10_000


def test_a_locked_database_holds_nobody_up(
    house: tuple[Workspace, Front], record_property: Callable[[str, object], None]
) -> None:
    """For 10 s nothing can be written: all are answered, in time, and later all is stored.

    Feedback is refused meanwhile, for it counts as given only once it is stored.
    """
    workspace, front = house
    first = front.predictions.Predict(pb.PredictRequest(task="support", text=TEXT), timeout=30)
    verdict = feedback_service_pb2.SubmitFeedbackRequest(
        prediction_id=first.prediction.prediction_id, correct=True
    )
    with Callers([front], 8, pause=0.005) as callers:
        with workspace.locked():
            start = time.monotonic()
            given = front.feedback.SubmitFeedback.future(verdict, timeout=30)
            refused = words(refusal(given.result))
            time.sleep(max(0.0, 10 - (time.monotonic() - start)))  # so long is the database locked
        asked = len(callers.load.ids)
        wait_until(lambda: len(callers.load.ids) > asked + 100, "the callers are answered")
    assert refused == ("UNAVAILABLE", "STORAGE_UNAVAILABLE", "")
    load = callers.load
    record_property("predictions", len(load.ids))
    record_property("p99_ms", load.quantile(0.99) * 1000)
    assert load.failures == []
    assert load.quantile(0.99) < 0.25
    answered = {*load.ids, first.prediction.prediction_id}
    wait_until(lambda: workspace.stored_ids() == answered, "all that was answered is stored")
    wait_until(lambda: not list(workspace.spool.iterdir()), "the spool is empty")
    assert workspace.storage.feedback.latest_verdicts("support") == []
    front.feedback.SubmitFeedback(verdict, timeout=30)
    assert len(workspace.storage.feedback.latest_verdicts("support")) == 1


def test_what_could_not_be_stored_outlives_the_process(
    house: tuple[Workspace, Front], frail_triton: RunningTriton
) -> None:
    """Ended while the database is locked, the front leaves a spool that the next one stores.

    A damaged file in it is set aside and keeps none of the others.
    """
    workspace, front = house
    with workspace.locked():
        request = pb.BatchPredictRequest(task="support", texts=[TEXT] * 100)
        answers = [front.predictions.BatchPredict(request, timeout=30) for _ in range(3)]
        answered = {r.prediction.prediction_id for answer in answers for r in answer.results}
        assert front.stop() == 0
        assert workspace.stored_ids() == set()
        assert list(workspace.spool.glob("*.jsonl"))
    (workspace.spool / "0-half.jsonl").write_text('{"prediction_id": "x", "te')
    (workspace.spool / "1-bytes.jsonl").write_bytes(b"\xff\xfe\n")
    with Front(workspace, frail_triton.grpc_address):
        wait_until(lambda: workspace.stored_ids() == answered, "all that was answered is stored")
        left = {path.name for path in workspace.spool.iterdir()}
        assert left == {"0-half.damaged", "1-bytes.damaged"}


def test_predictions_go_on_where_nothing_can_be_written(house: tuple[Workspace, Front]) -> None:
    """Without database and spool all are answered; later all are stored."""
    workspace, front = house
    hidden = workspace.spool.with_name("hidden")
    request = pb.BatchPredictRequest(task="support", texts=[TEXT] * 100)
    answers = []
    with workspace.locked():
        workspace.spool.rename(hidden)
        for _ in range(15):
            answers.append(front.predictions.BatchPredict(request, timeout=30))
            time.sleep(0.1)  # callers come over a while, not at once
        hidden.rename(workspace.spool)
    answered = {r.prediction.prediction_id for answer in answers for r in answer.results}
    wait_until(lambda: workspace.stored_ids() == answered, "all that was answered is stored")
    assert front.process.poll() is None
