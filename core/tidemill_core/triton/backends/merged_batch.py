"""One model run for all requests of one `execute` call."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

# Triton provides this module inside its stub processes; no package has it.
import triton_python_backend_utils as pb_utils

from tidemill_core.triton.tensors import INPUT_NAME, OUTPUT_NAME

TokenIds = npt.NDArray[np.int32]
Probabilities = npt.NDArray[np.float32]


def answer(requests: Sequence[Any], run_model: Callable[[TokenIds], Probabilities]) -> list[Any]:
    """Run the model once over the rows of all requests and give each request its own rows.

    Args:
        requests: Triton's requests, each with `input_ids` int32 [rows, sequence_length].
        run_model: int32 [all rows, sequence_length] -> float32 [all rows, labels].

    Returns:
        One `InferenceResponse` for each request, in order. If the run fails, each request gets a
        run of its own, so that only the request at fault gets the error.
    """
    rows = [pb_utils.get_input_tensor_by_name(each, INPUT_NAME).as_numpy() for each in requests]
    counts = [len(each) for each in rows]
    try:
        probabilities = run_model(rows[0] if len(rows) == 1 else np.concatenate(rows))
        if probabilities.ndim != 2 or len(probabilities) != sum(counts):
            raise ValueError(
                f"the model answered shape {probabilities.shape} to a batch of {sum(counts)}"
            )
    except Exception as error:  # whatever a model file does, the stub goes on
        if len(requests) > 1:
            return [response for each in requests for response in answer([each], run_model)]
        # Never share an error between responses: Triton frees it with the first, and crashes.
        failure = pb_utils.TritonError(f"{type(error).__name__}: {error}")
        return [pb_utils.InferenceResponse(error=failure)]
    parts = np.split(probabilities, np.cumsum(counts)[:-1])
    return [pb_utils.InferenceResponse([pb_utils.Tensor(OUTPUT_NAME, part)]) for part in parts]
