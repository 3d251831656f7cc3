"""More callers than the front admits."""

import re
from pathlib import Path
from typing import Any

from tests.integration.server.front import Front, Workspace
from tests.integration.server.models import LABELS
from tests.integration.server.refusal import Refusal, of
from tests.integration.server.scraping import front_page
from tests.plugins.fake_triton import FakeTriton, slow
from tests.plugins.waiting import wait_until
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill_server.inference.admission import FIRST_LIMIT

CALLERS = 800
IMPATIENT = {"TIDEMILL_SERVER__MAX_QUEUE_DELAY_MS": "1"}


def metric(front: Front, name: str, task: str = "support") -> float:
    """Return a task's metric."""
    sample = rf'^tidemill_{name}{{[^}}]*task="{task}"[^}}]*}} (\S+)$'
    found = re.search(sample, front_page(front), re.MULTILINE)
    return float(found[1]) if found else 0.0


def shed(front: Front) -> float:
    """Return how many calls were refused, also before their task was known."""
    return metric(front, "shed_total") + metric(front, "shed_total", "unknown")


def flood(front: Front) -> tuple[int, list[Refusal]]:
    """Return how many of many concurrent callers are answered, and the errors of the others."""
    request = pb.PredictRequest(task="support", text="lost card")
    ask = front.predictions.Predict.future
    calls: list[Any] = [ask(request, timeout=60) for _ in range(CALLERS)]
    errors = [call.exception() for call in calls]
    answers = [call.result() for call, error in zip(calls, errors, strict=True) if error is None]
    assert all(answer.prediction.label in LABELS for answer in answers)
    return len(answers), [of(error) for error in errors if error is not None]


def test_who_is_too_many_is_told_when_to_come_back(tmp_path: Path) -> None:
    """Callers above the limit are OVERLOADED with RetryInfo, and the limit adapts."""
    with FakeTriton() as triton:
        triton.behave("support-onnx", 1, slow(1.0))
        workspace = Workspace(tmp_path, {"support": 1})
        with Front(workspace, triton.address, environment=IMPATIENT) as front:
            answered, refused = flood(front)
            assert {(each.code, each.reason) for each in refused} == {
                ("RESOURCE_EXHAUSTED", "OVERLOADED")
            }
            assert all(0.2 <= each.retry_seconds <= 0.8 for each in refused)
            assert refused
            assert answered >= 100
            wait_until(lambda: shed(front) == len(refused), "every refusal is counted")
            wait_until(
                lambda: metric(front, "admission_limit") < 2 * FIRST_LIMIT, "the unary limit falls"
            )
