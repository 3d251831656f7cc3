"""TorchScript models that were made elsewhere: checked, run and wrapped. Never a pickle of Python.

TorchScript is code. Two checks keep it from files and the network, before it is loaded (some of it
runs then) and before Triton gets it: no operator but those of ATen, without the ones that read or
write files.
"""

import io
import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tidemill_jobs.importing.foreign_model import (
    EXPECTED_INPUTS,
    IDS,
    MASK,
    OUTPUT_NAMES,
    SMALLEST,
    TOKEN_TYPES,
    Calibration,
    Vocabulary,
)
from tidemill_jobs.importing.refusal import ModelRefused

MAX_UNPACKED_BYTES = 2 << 30
_EXPECTED = "an archive that torch.jit.save wrote"
_FILES = ("save", "load", "from_file")
_NETWORK = ("rpc_async", "rpc_sync", "rpc_remote")
_IN_CODE = re.compile(
    rf"torch\s*\.\s*(?P<file>{'|'.join(_FILES)})\b|\bops\s*\.\s*(?!(?:prim|aten|quantized)\b)(?P<own>\w+)"
    r"|__torch__\s*\.\s*torch\s*\.\s*classes\s*\.\s*(?P<kind>\w+)"
)
_NAMESPACES = {"aten", "prim", "quantized"}
_OPERATORS = "operators of ATen that neither read nor write files"


class TorchScriptModel:
    """A TorchScript model that passed the checks.

    Raises:
        ModelRefused: it is no TorchScript archive, or does not fit.
    """

    fixed_length: int | None = None
    """TorchScript does not say which lengths it takes."""

    def __init__(self, path: Path, vocabulary: Vocabulary) -> None:
        _check_archive(path)
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and is what Triton loads
        try:
            module = torch.jit.load(path, map_location="cpu")
        except Exception as error:  # torch raises many kinds
            reason = str(error).strip().split("\n")[0][:200]
            raise ModelRefused(f"torch.jit.load refuses the file: {reason}", _EXPECTED) from error
        _check_operators(module)
        self._inputs = _inputs(module)
        self._inner = module.eval()
        self._vocabulary = vocabulary
        self._integers = torch.int64
        self._module: Any = self._wrapper(None)

    def answer(self, input_ids: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """Return its output for encoded rows."""
        with torch.no_grad():
            try:
                found = self._module(torch.from_numpy(input_ids))
            except RuntimeError:
                if self._integers is torch.int32:
                    raise
                self._integers = torch.int32  # the other type of ids that a model may take
                self._module = self._wrapper(None)
                found = self._module(torch.from_numpy(input_ids))
        return cast("npt.NDArray[np.float32]", found.numpy())

    def wrapped(self, calibration: Calibration) -> bytes:
        """Return a model file with the input and output of Tidemill's models."""
        example = torch.full((2, 8), self._vocabulary.padding_id, dtype=torch.int32)
        example[:, :4] = self._vocabulary.size - 1
        traced = torch.jit.trace(self._wrapper(calibration), example, check_trace=False)
        self._module = torch.jit.freeze(traced)
        _check_operators(self._module)
        buffer = io.BytesIO()
        torch.jit.save(self._module, buffer)
        return buffer.getvalue()

    def _wrapper(self, calibration: Calibration | None) -> "_Wrapper":
        return _Wrapper(
            self._inner, self._inputs, self._vocabulary, self._integers, calibration
        ).eval()


class _Wrapper(nn.Module):
    """A model behind Tidemill's input, with its own output or a calibrated one."""

    def __init__(
        self,
        inner: nn.Module,
        inputs: tuple[str, ...],
        vocabulary: Vocabulary,
        integers: torch.dtype,
        calibration: Calibration | None,
    ) -> None:
        super().__init__()
        self.inner = inner
        self._inputs = inputs
        self._vocabulary = vocabulary
        self._integers = integers
        self._calibration = calibration

    def forward(self, input_ids: Tensor) -> Tensor:
        """Return the answers to encoded rows, float32 of shape [batch, labels]."""
        ids = input_ids.to(self._integers).clamp(0, self._vocabulary.size - 1)
        mask = (ids != self._vocabulary.padding_id).to(self._integers)
        sources = {IDS: ids, MASK: mask, TOKEN_TYPES: torch.zeros_like(ids)}
        found = _output(self.inner(*(sources[name] for name in self._inputs))).to(torch.float32)
        if self._calibration is None:
            return found
        if self._calibration.are_probabilities:
            found = found.clamp(min=SMALLEST).log()
        return torch.softmax(found / self._calibration.temperature, dim=1)


def _output(found: Any) -> Tensor:
    """Return the output to take.

    Raises:
        ModelRefused: there is not exactly one that can be it.
    """
    if isinstance(found, dict):
        named = [found[name] for name in OUTPUT_NAMES if name in found]
        names = f"a dictionary with {', '.join(map(str, found))}"
    else:
        named = list(found) if isinstance(found, tuple | list) else [found]
        names = f"{len(named)} values" if len(named) != 1 else type(named[0]).__name__
    if len(named) != 1 or not isinstance(named[0], Tensor):
        expected = f"one tensor, or a dictionary with either {' or '.join(OUTPUT_NAMES)}"
        raise ModelRefused(f"the model returns {names}", expected)
    return named[0]


def _check_archive(path: Path) -> None:
    """Check an archive before anything in it is unpacked.

    Raises:
        ModelRefused: it is none, it grows too large, or its code has refused operators.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            size = sum(entry.file_size for entry in entries)
            if size > MAX_UNPACKED_BYTES:
                found = f"the archive unpacks to {size:,} bytes"
                raise ModelRefused(found, f"at most {MAX_UNPACKED_BYTES:,}")
            names = [entry.filename.partition("/")[2] for entry in entries]
            if "constants.pkl" not in names:
                what = "a pickle of torch.save" if "data.pkl" in names else "another archive"
                raise ModelRefused(f"the file is {what}", _EXPECTED)
            for entry in entries:
                if "/code/" in f"/{entry.filename}" and entry.filename.endswith(".py"):
                    _check_code(archive.read(entry).decode("utf-8", "replace"))
    except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError) as error:
        raise ModelRefused("the file is not an archive", _EXPECTED) from error


def _check_code(code: str) -> None:
    found = _IN_CODE.search(code)
    if found is not None:
        raise ModelRefused(f"the model's code has {found[0]}", _OPERATORS)


def _check_operators(module: Any) -> None:
    for kind in _kinds(module.inlined_graph):
        namespace, _, name = kind.partition("::")
        if namespace not in _NAMESPACES or name in (*_FILES, *_NETWORK, "PythonOp"):
            raise ModelRefused(f"the model has the operator {kind}", _OPERATORS)


def _kinds(block: Any) -> Iterator[str]:
    for node in block.nodes():
        yield node.kind()
        for inner in node.blocks():
            yield from _kinds(inner)


def _inputs(module: Any) -> tuple[str, ...]:
    """Return the names of the inputs, in order.

    Raises:
        ModelRefused: they are not those that a text classifier has.
    """
    names = tuple(each.name for each in module.forward.schema.arguments[1:])
    known = {IDS, MASK, TOKEN_TYPES}
    if IDS not in names or set(names) - known:
        raise ModelRefused(f"the model's inputs are {', '.join(names)}", EXPECTED_INPUTS)
    return names
