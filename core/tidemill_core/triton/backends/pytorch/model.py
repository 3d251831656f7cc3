"""Triton backend `pytorch`: serves `<version>/model.pt` (TorchScript) on the CPU."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tidemill_core.triton.backends import merged_batch, region


class TritonPythonModel:
    """One version of one model, in its own stub process."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the version's file; Triton reports an exception here as its load error.

        One thread: a text classifier's forward pass is short and bound by memory, and a second
        thread would take the core that the front needs.
        """
        torch.set_num_threads(1)
        torch.set_num_interop_threads(1)
        region.remove_name()
        path = Path(args["model_repository"]) / args["model_version"] / "model.pt"
        with warnings.catch_warnings():
            # torch deprecates TorchScript, but NVIDIA's backend of this name serves it.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._module = torch.jit.load(path, map_location="cpu").eval()

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer the requests of one dynamic batch."""
        return merged_batch.answer(requests, self._run)

    def _run(self, input_ids: merged_batch.TokenIds) -> merged_batch.Probabilities:
        with torch.inference_mode():
            output = self._module(torch.from_numpy(input_ids))
        probabilities: merged_batch.Probabilities = output.numpy()
        return probabilities
