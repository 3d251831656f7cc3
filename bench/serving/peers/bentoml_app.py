"""BentoML + ONNX Runtime, with its adaptive batching.

BentoML refuses a request that it expects to take longer than `max_latency_ms`, here a second.
"""

import bentoml
from classifier import OnnxClassifier
from encoder import BATCH, PROCESSES


@bentoml.service(workers=PROCESSES, traffic={"timeout": 30}, logging={"access": {"enabled": False}})
class Classify:
    """Labels texts."""

    def __init__(self) -> None:
        self.classifier = OnnxClassifier()

    @bentoml.api(batchable=True, max_batch_size=BATCH, max_latency_ms=1000, route="/predict")
    async def predict(self, texts: list[str]) -> list[dict]:
        """Label a batch; in the event loop, which costs less than a thread."""
        return self.classifier.classify(texts)
