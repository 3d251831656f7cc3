"""The memory that a model takes, measured in a confined process of its own.

    python -m tidemill_jobs.release.memory_probe model.onnx 64 8589934592

It prints the bytes by which opening the model and answering one batch raise the process's peak. It
imports only the runtime that it needs: torch alone takes seconds and most of the memory. The model
may come from elsewhere, so the process is confined first, before an import starts threads.
"""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tidemill_core.domain.model import MODEL_FILES
from tidemill_core.triton.tensors import INPUT_NAME
from tidemill_jobs.importing.confinement import confine

_ROWS = 64

Ids = npt.NDArray[np.int32]


def main() -> None:
    """Measure the model at a path, with rows of a length, in an address space of some bytes."""
    confine(int(sys.argv[3]))
    path, ids = Path(sys.argv[1]), np.zeros((_ROWS, int(sys.argv[2])), np.int32)
    run = _onnx() if path.name == MODEL_FILES["onnx"] else _torchscript()
    before = _peak_bytes()
    run(path, ids)
    print(_peak_bytes() - before)


def _onnx() -> Callable[[Path, Ids], object]:
    from tidemill_core.onnx_session import open_session

    return lambda path, ids: open_session(path).run(None, {INPUT_NAME: ids})


def _torchscript() -> Callable[[Path, Ids], object]:
    import torch

    warnings.simplefilter("ignore")  # TorchScript is deprecated, and is what Triton loads
    load: Callable[[str], Callable[[torch.Tensor], object]] = torch.jit.load
    return lambda path, ids: load(str(path))(torch.from_numpy(ids))


def _peak_bytes() -> int:
    # Not `getrusage`: its peak includes that of the process that started this one.
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
