"""OpenInference's attributes on spans, which Phoenix reads; needs the extra `phoenix`.

https://github.com/Arize-ai/openinference/tree/main/spec names them.
"""

import json
from collections.abc import Mapping

from openinference.semconv.resource import ResourceAttributes
from openinference.semconv.trace import (
    OpenInferenceMimeTypeValues,
    OpenInferenceSpanKindValues,
    SpanAttributes,
)
from opentelemetry.trace import Span

from tidemill_core.domain.prediction import Prediction
from tidemill_core.settings import TaskSettings
from tidemill_core.text_repair import TextRepair

RESOURCE = {ResourceAttributes.PROJECT_NAME: "tidemill"}
"""The project of all spans."""
_JSON = OpenInferenceMimeTypeValues.JSON.value
_TEXT = OpenInferenceMimeTypeValues.TEXT.value


class OpenInference:
    """The describer of spans.

    Args:
        tasks: the tasks by name.
        send_texts: whether spans may have texts.
    """

    def __init__(self, tasks: Mapping[str, TaskSettings], *, send_texts: bool) -> None:
        self._repairs = {
            name: TextRepair(redact=tuple(task.redact))
            for name, task in tasks.items()
            if send_texts and task.store_text == "plain"
        }

    def describe_call(self, span: Span) -> None:
        """Set the kind of a call's span."""
        kind = OpenInferenceSpanKindValues.CHAIN.value
        span.set_attribute(SpanAttributes.OPENINFERENCE_SPAN_KIND, kind)

    def describe_triton_call(self, span: Span, model: str) -> None:
        """Set the kind of a Triton call's span, and its model."""
        kind = OpenInferenceSpanKindValues.TOOL.value
        span.set_attribute(SpanAttributes.OPENINFERENCE_SPAN_KIND, kind)
        span.set_attribute(SpanAttributes.TOOL_NAME, model)

    def describe_prediction(self, span: Span, text: str, prediction: Prediction) -> None:
        """Set what a call with one text answered, and the text if its task allows it."""
        answer = {"label": prediction.label, "confidence": prediction.confidence}
        about = {
            "task": prediction.task,
            "model_version": prediction.model_version,
            "prediction_id": prediction.prediction_id,
            "abstained": prediction.abstained,
        }
        span.set_attribute(SpanAttributes.OUTPUT_VALUE, json.dumps(answer))
        span.set_attribute(SpanAttributes.OUTPUT_MIME_TYPE, _JSON)
        span.set_attribute(SpanAttributes.METADATA, json.dumps(about))
        if (repair := self._repairs.get(prediction.task)) is not None:
            span.set_attribute(SpanAttributes.INPUT_VALUE, repair(text))
            span.set_attribute(SpanAttributes.INPUT_MIME_TYPE, _TEXT)
