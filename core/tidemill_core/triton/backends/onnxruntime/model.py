"""Triton backend `onnxruntime`: serves `<version>/model.onnx` on the CPU."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime

from tidemill_core.triton.backends import merged_batch, region
from tidemill_core.triton.tensors import INPUT_NAME, OUTPUT_NAME


class TritonPythonModel:
    """One version of one model, in a stub process of its own."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the version's file; an exception here is Triton's load error."""
        region.remove_name()
        path = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self._session = onnxruntime.InferenceSession(
            path, _session_options(), providers=["CPUExecutionProvider"]
        )

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer the requests of one dynamic batch."""
        return merged_batch.answer(requests, self._run)

    def _run(self, input_ids: merged_batch.TokenIds) -> merged_batch.Probabilities:
        outputs: list[merged_batch.Probabilities] = self._session.run(
            [OUTPUT_NAME], {INPUT_NAME: input_ids}
        )
        return outputs[0]


def _session_options() -> onnxruntime.SessionOptions:
    """One thread, no spinning.

    A text classifier's forward pass is short and bound by memory; a second thread would take the
    core that the front needs, and a spinning one would take it while idle too.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
