"""Ray Serve + ONNX Runtime, with its own batching and its settings for throughput."""

import os
import signal

os.environ |= {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1", "RAY_USAGE_STATS_ENABLED": "0"}

import ray
from classifier import OnnxClassifier
from encoder import BATCH, BATCH_WAIT_SECONDS, PROCESSES
from ray import serve
from starlette.requests import Request


@serve.deployment(
    num_replicas=PROCESSES,
    max_ongoing_requests=2 * BATCH,
    ray_actor_options={"num_cpus": 0.5},
    logging_config={"enable_access_log": False},
)
class Classify:
    """Labels texts."""

    def __init__(self) -> None:
        self.classifier = OnnxClassifier()

    @serve.batch(max_batch_size=BATCH, batch_wait_timeout_s=BATCH_WAIT_SECONDS)
    async def classify(self, texts: list[str]) -> list[dict]:
        """Label a batch."""
        return self.classifier.classify(texts)

    async def __call__(self, request: Request) -> dict:
        """Label one text."""
        return await self.classify((await request.json())["text"])


if __name__ == "__main__":
    ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])})
    serve.run(Classify.bind(), route_prefix="/predict")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
