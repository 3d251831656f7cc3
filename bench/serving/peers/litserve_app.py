"""LitServe + ONNX Runtime, with its own batching and its faster queue."""

import os

import litserve
from classifier import OnnxClassifier
from encoder import BATCH, BATCH_WAIT_SECONDS, PROCESSES


class Classify(litserve.LitAPI):
    """Labels texts."""

    def setup(self, device: str) -> None:
        """Load the model, once per process."""
        del device
        self.classifier = OnnxClassifier()

    def decode_request(self, request: dict) -> str:
        """Return the text."""
        return request["text"]

    def predict(self, texts: list[str]) -> list[dict]:
        """Label a batch."""
        return self.classifier.classify(texts)

    def encode_response(self, output: dict) -> dict:
        """Return the answer."""
        return output


if __name__ == "__main__":
    api = Classify(max_batch_size=BATCH, batch_timeout=BATCH_WAIT_SECONDS)
    server = litserve.LitServer(
        api, accelerator="cpu", devices=1, workers_per_device=PROCESSES, fast_queue=True
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        num_api_servers=PROCESSES,
        log_level="warning",
        access_log=False,
        generate_client_file=False,
    )
