"""Text to label with tokenizers and ONNX Runtime."""

from collections.abc import Sequence

import onnxruntime
from encoder import FOLDER, Encoder


class OnnxClassifier:
    """The model on ONNX Runtime."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._encoder = Encoder()
        self._session = onnxruntime.InferenceSession(
            FOLDER / "model.onnx", options, providers=["CPUExecutionProvider"]
        )

    def classify(self, texts: Sequence[str]) -> list[dict]:
        """Answer a batch."""
        (probabilities,) = self._session.run(None, {"input_ids": self._encoder.encode(texts)})
        return self._encoder.answers(probabilities)
