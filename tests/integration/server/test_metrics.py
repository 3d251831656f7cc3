"""Telemetry of a real front: metrics, the dashboard's queries, the access log."""

import contextlib
import json
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import grpc
import pytest
from prometheus_client.samples import Sample

from tests.integration.server.front import Front, Workspace
from tests.integration.server.scraping import front_page, samples, total, triton_page
from tests.plugins import promql
from tests.plugins.triton import RunningTriton
from tests.plugins.waiting import wait_until
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill_server.telemetry.signals import GAUGES

PREDICT = "PredictionService/Predict"


def settled(front: Front) -> list[Sample]:
    """Return all samples, once the predictions of other tests are stored."""
    found: list[list[Sample]] = [[], samples(front)]

    def is_settled() -> bool:
        time.sleep(0.1)  # what is still written shows as a difference between two scrapes
        found[:] = [found[1], samples(front)]
        before, now = (total(scraped, "log_rows_total") for scraped in found)
        return now == before and not total(found[1], "log_held_rows")

    wait_until(is_settled, "all predictions are stored")
    return found[1]


def grown(
    front: Front, counts: Mapping[str, Mapping[str, str]], act: Callable[[], object]
) -> dict[str, float]:
    """Return by how much metrics grow during a call; it is counted just after its answer."""
    before = settled(front)
    act()
    growth: dict[str, float] = {}

    def all_grew() -> bool:
        now = samples(front)
        for name, labels in counts.items():
            growth[name] = total(now, name, **labels) - total(before, name, **labels)
        return all(growth.values())

    with contextlib.suppress(AssertionError):  # what is missing is told by who asked
        wait_until(all_grew, "every metric grew")
    return growth


def predict(front: Front, text: str = "refund my order", task: str = "support") -> None:
    """Make one prediction."""
    front.predictions.Predict(pb.PredictRequest(task=task, text=text), timeout=10)


def fail(front: Front) -> None:
    """Make a prediction with a version that does not exist."""
    request = pb.PredictRequest(task="support", text="refund", model_version=99)
    with pytest.raises(grpc.RpcError):
        front.predictions.Predict(request, timeout=10)


def access_log(workspace: Workspace) -> list[dict[str, Any]]:
    """Return the lines of the access log."""
    path = workspace.folder / "var" / "logs" / "access.log"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_prediction_is_counted_where_it_passes(front: Front) -> None:
    """Metrics count its call, its answer with the version, and each stage."""
    counts = {
        "requests_total": {"method": PREDICT, "code": "OK"},
        "request_seconds_count": {"method": PREDICT},
        "predictions_total": {"method": "Predict", "task": "support", "version": "1"},
        "prediction_seconds_count": {"method": "Predict", "task": "support", "version": "1"},
        "queue_seconds_count": {"task": "support"},
        "batch_rows_sum": {"task": "support"},
        "tokenization_seconds_count": {"task": "support"},
        "triton_seconds_count": {"task": "support", "version": "1"},
        "overhead_seconds_count": {"task": "support"},
        "log_rows_total": {"outcome": "database"},
    }
    assert grown(front, counts, lambda: predict(front)) == dict.fromkeys(counts, 1)


def test_texts_of_a_batch_are_counted_each(front: Front) -> None:
    """A batch is one call, and as many predictions as it has texts."""
    request = pb.BatchPredictRequest(task="support", texts=["refund", "order", "card"])
    labels = {"method": "BatchPredict", "task": "support"}

    def act() -> None:
        front.predictions.BatchPredict(request, timeout=10)

    counts = {"predictions_total": labels, "prediction_seconds_count": labels}
    assert grown(front, counts, act) == {"predictions_total": 3, "prediction_seconds_count": 1}


def test_errors_are_counted_by_code_and_reason(front: Front) -> None:
    """A caller's error is counted under the reason that the caller gets."""
    reason = {"reason": "UNKNOWN_MODEL_VERSION"}
    counts = {
        "requests_total": {"method": PREDICT, "code": "INVALID_ARGUMENT", **reason},
        "prediction_errors_total": {"method": "Predict", "task": "support", **reason},
    }
    assert grown(front, counts, lambda: fail(front)) == dict.fromkeys(counts, 1)


def test_callers_cannot_make_series(front: Front) -> None:
    """Unknown tasks and methods do not add label values."""
    invented = f"task_{uuid.uuid4().hex}"
    method = front.channel.unary_unary(f"/tidemill.v1.PredictionService/{invented}")
    with pytest.raises(grpc.RpcError):
        predict(front, task=invented)
    with pytest.raises(grpc.RpcError):
        method(b"", timeout=10)
    assert invented not in front_page(front)


def test_every_query_finds_its_metrics(front: Front, triton: RunningTriton) -> None:
    """The metrics and labels of every panel and alert exist in real scrapes."""
    predict(front)
    fail(front)
    reason = "UNKNOWN_MODEL_VERSION"
    wait_until(
        lambda: total(samples(front), "requests_total", reason=reason) > 0, "the refusal is counted"
    )
    page = front_page(front)
    known = promql.scrape([page, triton_page(triton)])
    unseen: set[str] = set()
    for title, query in (*promql.panel_queries(), *promql.alert_queries()):
        missing = [name for name in promql.metrics_of(query) if name not in known]
        unseen.update(missing)
        assert missing or promql.unknown_names(query, known) == [], title
    # There are no refusals and reports yet, so those metrics have a name but no sample.
    counters = {"tidemill_shed_total", "tidemill_auth_failures_total"}
    assert unseen <= counters | {f"tidemill_{name}" for name in GAUGES}
    kinds = {name: "counter" if name in counters else "gauge" for name in unseen}
    assert all(f"\n# TYPE {name} {kind}\n" in page for name, kind in kinds.items())


def test_calls_are_in_the_access_log(front: Front, workspace: Workspace) -> None:
    """Each call has a line with its method, caller and outcome, without its text."""
    text, request_id = f"refund {uuid.uuid4().hex}", uuid.uuid4().hex
    request = pb.PredictRequest(task="support", text=text, request_id=request_id)
    front.predictions.Predict(request, timeout=10)

    def found() -> list[dict[str, Any]]:
        return [each for each in access_log(workspace) if each.get("request_id") == request_id]

    wait_until(lambda: bool(found()), "the sample is there")
    (line,) = found()
    assert (line["method"], line["code"], line["task"]) == (PREDICT, "OK", "support")
    assert line["milliseconds"] > 0
    assert line["peer"].startswith("ipv4:127.0.0.1:")
    path = workspace.folder / "var" / "logs" / "access.log"
    assert text not in path.read_text("utf-8")
    assert text not in front.log()


def test_a_taken_metrics_port_is_told(
    front: Front, workspace: Workspace, triton: RunningTriton
) -> None:
    """A second front on the same port ends immediately, and names the setting."""
    environment = {"TIDEMILL_METRICS_PORT": str(front.metrics_port)}
    second = Front(workspace, triton.grpc_address, environment=environment)
    second.launch()
    try:
        assert second.process.wait(60) == 1
    except subprocess.TimeoutExpired:
        second.process.kill()
        raise
    assert "ALREADY_RUNNING" in second.log()
    assert "TIDEMILL_METRICS_PORT" in second.log()
