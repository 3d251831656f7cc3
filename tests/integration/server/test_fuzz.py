"""Random calls of every method, which neither break the front nor mix up answers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.server.front import Front, Workspace
from tests.integration.server.fuzzing.fuzzer import VERSIONS, fuzz
from tests.integration.server.fuzzing.messages import METHODS
from tests.plugins.triton import RunningTriton
from tidemill.v1 import prediction_service_pb2 as pb

CASES, SEED = 320, 6


@pytest.fixture
def front(tmp_path: Path, triton: RunningTriton) -> Iterator[Front]:
    """Yield a front with its own database, because the fuzzer changes traffic."""
    with Front(Workspace(tmp_path, VERSIONS), triton.grpc_address) as running:
        yield running


def test_nothing_that_callers_send_breaks_the_front(front: Front) -> None:
    """No INTERNAL, UNKNOWN, hang or wrong answer occurs, and the front still serves."""
    tally = fuzz(front, CASES, SEED)
    assert tally.problems == []
    assert tally.cases >= CASES
    assert tally.compared > CASES / 6
    assert {service for service, _code in tally.codes} == {
        method.containing_service.name for method in METHODS
    }
    request = pb.PredictRequest(task="support", text="lost my card")
    assert front.predictions.Predict(request, timeout=5).prediction.label
    assert front.process.poll() is None
    assert "unexpected_error" not in front.log()
    assert "Traceback" not in front.log()
