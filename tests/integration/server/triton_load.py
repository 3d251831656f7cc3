"""How much Triton has to do."""

import time

from tests.plugins.triton import RunningTriton
from tests.plugins.waiting import wait_until


def rows(triton: RunningTriton) -> int:
    """Return how many texts Triton has answered."""
    return triton.statistics("support-onnx").inference_count


def wait_quiet(triton: RunningTriton) -> None:
    """Wait until Triton receives nothing for a moment."""

    def quiet() -> bool:
        before = rows(triton)
        time.sleep(1)  # as long as a busy machine takes to say that nothing happens
        return rows(triton) == before

    wait_until(quiet, "Triton is asked for nothing more")
