"""Gates on the published files: their size and memory, their weights, and the export."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from tidemill_core.counted import counted
from tidemill_core.domain.gate import GateVerdict
from tidemill_core.errors import TidemillError
from tidemill_jobs.importing.sandbox import address_space, confined_environment
from tidemill_jobs.release.gates.gate import Finding, limit, not_applicable
from tidemill_jobs.release.trial import Trial
from tidemill_jobs.training.export import TOLERANCE, compare

_MEGABYTE = 1e6
_PROBE = "tidemill_jobs.release.memory_probe"
_PROBE_SECONDS = 120.0


class ModelUnreadable(TidemillError):
    """A published model that cannot be opened."""

    reason = "MODEL_UNREADABLE"


def size(trial: Trial) -> Finding:
    """Compare the size of the model's file with the limit."""
    allowed, size_mb = trial.limits.gate.max_model_mb, _size_mb(trial)
    return limit(size_mb, allowed, f"{size_mb:.1f} MB; at most {allowed:g} MB are allowed")


def _size_mb(trial: Trial) -> float:
    try:
        return trial.published.file.stat().st_size / _MEGABYTE
    except OSError as error:
        raise ModelUnreadable(f"{trial.published.file}: {error.strerror}") from error


def memory(trial: Trial) -> Finding:
    """Open the model in a confined process, let it answer a batch, and measure the memory.

    Raises:
        ModelUnreadable: the model cannot be opened or does not answer.
    """
    published, allowed = trial.published, trial.limits.gate.max_memory_mb
    arguments = (published.file, published.manifest.sequence_length, _address_space(published.file))
    command = [sys.executable, "-P", "-m", _PROBE, *map(str, arguments)]
    try:
        probe = subprocess.run(  # noqa: S603 -- our own module
            command,
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=True,
            env=confined_environment(),
        )
    except subprocess.TimeoutExpired as error:
        raise ModelUnreadable(f"the model did not answer within {_PROBE_SECONDS:g} s") from error
    except subprocess.CalledProcessError as error:
        last = error.stderr.strip().rpartition("\n")[2] or f"exit code {error.returncode}"
        raise ModelUnreadable(f"the model cannot be opened: {last}") from error
    megabytes = json.loads(probe.stdout) / _MEGABYTE
    reason = f"{megabytes:.0f} MB, loaded and answering; at most {allowed:g} MB are allowed"
    return limit(megabytes, allowed, reason)


def _address_space(file: Path) -> int:
    try:
        return address_space(file)
    except OSError as error:
        raise ModelUnreadable(f"{file}: {error.strerror}") from error


def weights(trial: Trial) -> Finding:
    """Check that every weight is a number."""
    original = trial.candidate.original
    if original is not None:
        broken = _broken_parameters(original)
    elif trial.candidate.version.model_format == "onnx":
        broken = _broken_initializers(trial)
    else:
        return not_applicable("the weights of an imported TorchScript model are not read")
    if not broken:
        return Finding(GateVerdict.PASSED, "every weight is a number")
    found = sum(broken.values())
    are_not = "weight is not a number" if found == 1 else "weights are not numbers"
    reason = f"{found:,} {are_not}, in {', '.join(broken)}"
    return Finding(GateVerdict.FAILED, reason, float(found), 0.0)


def _broken_parameters(model: nn.Module) -> dict[str, int]:
    """Return the number of weights that are NaN or infinite, by parameter."""
    counts = {name: int((~torch.isfinite(p)).sum()) for name, p in model.named_parameters()}
    return {name: count for name, count in counts.items() if count}


def _broken_initializers(trial: Trial) -> dict[str, int]:
    """Return the number of weights that are NaN, by initializer; a mask may be infinite."""
    try:
        graph = onnx.load(trial.published.file).graph
    except Exception as error:  # protobuf's and the file system's
        raise ModelUnreadable(str(error)) from error
    arrays = ((each.name, onnx.numpy_helper.to_array(each)) for each in graph.initializer)
    counts = {name: int(np.isnan(x).sum()) for name, x in arrays if x.dtype.kind == "f"}
    return {name: count for name, count in counts.items() if count}


def export(trial: Trial) -> Finding:
    """Compare the published file's answers with those of the torch module it was made from.

    Raises:
        ExportMismatch: they differ.
        ModelUnreadable: the file cannot be opened.
    """
    original, published, texts = trial.candidate.original, trial.published, trial.data.proof_texts
    if original is None:
        return not_applicable("the model was made elsewhere: there is no torch module to compare")
    model_format = trial.candidate.version.model_format
    try:
        content = published.file.read_bytes()
        largest = compare(content, model_format, original, published.encoder, texts)
    except TidemillError:
        raise
    except Exception as error:  # ONNX Runtime, torch and the file system have many
        raise ModelUnreadable(str(error)) from error
    reason = f"probabilities differ by up to {largest:.1e} on {counted(len(texts), 'text')}"
    return limit(largest, TOLERANCE, reason)
