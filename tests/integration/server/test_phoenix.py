"""OpenInference's attributes, in a receiver and in a real Phoenix.

`python -m bench.monitoring.phoenix` installs and starts Phoenix, and sets TEST_PHOENIX for
the last test here.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.integration.server.front import Front, Workspace
from tests.plugins.otlp import attributes, receiving
from tests.plugins.triton import RunningTriton
from tests.plugins.waiting import wait_until
from tidemill.v1 import prediction_service_pb2 as pb

TEXT = "refund my order to ana@example.org"
CALL = "PredictionService/Predict"
PHOENIX = os.environ.get("TEST_PHOENIX", "")
"""URLs of a Phoenix and of its OTLP/gRPC receiver, with a space between them."""


@contextmanager
def traced(workspace: Workspace, triton: RunningTriton, url: str, texts: bool) -> Iterator[Front]:
    """Run a front that traces every call with OpenInference's attributes."""
    environment = {
        "TIDEMILL_TRACING__OTLP_ENDPOINT": url,
        "TIDEMILL_TRACING__SAMPLE": "1",
        "TIDEMILL_TRACING__OPENINFERENCE": "true",
        "TIDEMILL_TRACING__SEND_TEXTS": str(texts).lower(),
    }
    with Front(workspace, triton.grpc_address, environment=environment) as front:
        yield front


def predict(front: Front) -> pb.Prediction:
    """Predict one text."""
    request = pb.PredictRequest(task="support", text=TEXT)
    return front.predictions.Predict(request, timeout=10).prediction


@pytest.mark.parametrize("texts", [False, True])
def test_a_call_has_its_answer_and_a_text_only_if_a_setting_says_so(
    workspace: Workspace, triton: RunningTriton, texts: bool
) -> None:
    """Both spans have a kind, and the resource the project."""
    with receiving() as (receiver, url), traced(workspace, triton, url, texts) as front:
        predicted = predict(front)
        wait_until(lambda: len(receiver.spans) >= 2, "the spans have come")
    call, asked = (attributes(receiver.named(name)[0]) for name in (CALL, "triton/ModelInfer"))
    assert call["openinference.span.kind"] == "CHAIN"
    assert (asked["openinference.span.kind"], asked["tool.name"]) == ("TOOL", "support-onnx")
    assert json.loads(str(call["output.value"]))["label"] == predicted.label
    assert json.loads(str(call["metadata"]))["prediction_id"] == predicted.prediction_id
    assert receiver.resources[0]["openinference.project.name"] == "tidemill"
    assert call.get("input.value") == (TEXT if texts else None)


@pytest.mark.skipif(not PHOENIX, reason="`python -m bench.monitoring.phoenix` runs it")
def test_a_real_phoenix_shows_the_call(workspace: Workspace, triton: RunningTriton) -> None:
    """Its own API returns the span with its kind, answer and metadata."""
    page, url = PHOENIX.split()
    with traced(workspace, triton, url, texts=True) as front:
        predicted = predict(front)

        def found() -> list[dict[str, Any]]:
            answer = httpx.get(f"{page}/v1/projects/tidemill/spans", params={"limit": 100})
            spans = answer.json()["data"] if answer.is_success else []  # 404 before the first span
            wanted = predicted.prediction_id
            return [each for each in spans if wanted in json.dumps(each["attributes"])]

        wait_until(found, "Phoenix shows the span")
    [span] = found()
    assert (span["name"], span["span_kind"]) == (CALL, "CHAIN")
    assert span["attributes"]["input.value"] == TEXT
    assert json.loads(span["attributes"]["output.value"])["label"] == predicted.label
