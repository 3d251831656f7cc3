"""OpenInference's attributes of a prediction."""

from datetime import UTC, datetime

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from tidemill_core.domain.prediction import Prediction
from tidemill_core.settings import FilesSource, TaskSettings
from tidemill_server.telemetry.openinference import OpenInference

PREDICTION = Prediction(
    *("p1", "support", 3, "", "fees", 0.75, (), False, "Predict", "", "", {}, 1.0, 5.0),
    datetime(2026, 11, 29, tzinfo=UTC),
)


@pytest.mark.parametrize(
    ("store_text", "send_texts", "sent"),
    [("plain", True, "write to [EMAIL]"), ("plain", False, None), ("hash", True, None)],
)
def test_a_text_is_redacted_and_sent_only_if_it_may_be_stored(
    store_text: str, send_texts: bool, sent: str | None
) -> None:
    """A task that stores no texts sends none, whatever the setting says."""
    task = TaskSettings.model_validate(
        {"sources": [FilesSource(path="x.csv")], "redact": ["email"], "store_text": store_text}
    )
    span = TracerProvider().get_tracer("test").start_span("call")
    described = OpenInference({"support": task}, send_texts=send_texts)
    described.describe_prediction(span, "write to ana@example.org", PREDICTION)
    assert isinstance(span, ReadableSpan)
    found = dict(span.attributes or {})
    assert found.get("input.value") == sent
    assert found["output.value"] == '{"label": "fees", "confidence": 0.75}'
