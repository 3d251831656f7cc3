"""Triton backend `onnxruntime`: serves `<version>/model.onnx` on the CPU."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tidemill_core.onnx_session import open_session
from tidemill_core.triton.backends import merged_batch, region
from tidemill_core.triton.tensors import INPUT_NAME, OUTPUT_NAME


class TritonPythonModel:
    """One version of one model, in its own stub process."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the version's file; Triton reports an exception here as its load error."""
        region.remove_name()
        path = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self._session = open_session(path)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer the requests of one dynamic batch."""
        return merged_batch.answer(requests, self._run)

    def _run(self, input_ids: merged_batch.TokenIds) -> merged_batch.Probabilities:
        outputs: list[merged_batch.Probabilities] = self._session.run(
            [OUTPUT_NAME], {INPUT_NAME: input_ids}
        )
        return outputs[0]
