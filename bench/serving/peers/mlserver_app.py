"""MLServer + ONNX Runtime as a custom runtime, with its adaptive batching.

`python -m mlserver_app FOLDER` writes the two settings files into a folder and serves it.
"""

import json
import os
import sys
from pathlib import Path

from classifier import OnnxClassifier
from encoder import BATCH, BATCH_WAIT_SECONDS, PROCESSES
from mlserver import MLModel
from mlserver.cli.main import main
from mlserver.codecs import StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

MODEL = {
    "name": "support",
    "implementation": "mlserver_app.Classify",
    "max_batch_size": BATCH,
    "max_batch_time": BATCH_WAIT_SECONDS,
}


class Classify(MLModel):
    """Labels texts."""

    async def load(self) -> bool:
        """Load the model, once per process."""
        self.classifier = OnnxClassifier()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Label a batch: BYTES in, BYTES out."""
        answers = self.classifier.classify(StringCodec.decode_input(payload.inputs[0]))
        labels = StringCodec.encode_output("label", [answer["label"] for answer in answers])
        return InferenceResponse(model_name=self.name, outputs=[labels])


if __name__ == "__main__":
    folder, port = Path(sys.argv[1]), int(os.environ["PORT"])
    settings = {
        "debug": False,
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": int(os.environ["OTHER_PORT"]),
        "metrics_endpoint": None,
        # 0 runs the model in the HTTP process; another number adds that many processes.
        "parallel_workers": 0 if PROCESSES == 1 else PROCESSES,
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(MODEL))
    sys.argv = ["mlserver", "start", str(folder)]
    main()
