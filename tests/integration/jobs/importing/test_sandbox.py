"""Models from elsewhere in their confined process."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto
from scipy.special import softmax

from tests.integration.jobs.importing import tiny
from tests.integration.jobs.importing.tiny import WEIGHTS, tiny_onnx
from tidemill_core.onnx_session import open_session
from tidemill_core.triton.tensors import INPUT_NAME, OUTPUT_NAME
from tidemill_jobs.importing.foreign_model import Calibration, ForeignModel, Vocabulary
from tidemill_jobs.importing.onnx_model import OnnxModel
from tidemill_jobs.importing.refusal import ModelRefused
from tidemill_jobs.importing.sandbox import Sandbox
from tidemill_jobs.importing.torchscript_model import TorchScriptModel

ROWS = np.array([[5, 6, 7, 0], [9, 0, 0, 0], [19, 18, 3, 4]], np.int32)
VOCABULARY = Vocabulary(tiny.VOCABULARY, 0)


def opened(folder: Path, content: bytes, model_format: str) -> Sandbox:
    """Return a sandbox with a model."""
    path = folder / "model"
    path.write_bytes(content)
    return Sandbox(path, model_format, VOCABULARY)


def load(folder: Path, content: bytes, model_format: str) -> ForeignModel:
    """Load a model as the confined process does, but in this one, which has torch already."""
    path = folder / "model"
    path.write_bytes(content)
    if model_format == "onnx":
        return OnnxModel(content, VOCABULARY)
    return TorchScriptModel(path, VOCABULARY)


@pytest.mark.parametrize(
    ("content", "model_format"),
    [
        (lambda: tiny_onnx(), "onnx"),
        (lambda: tiny_onnx(ids=TensorProto.INT32), "onnx"),
        (lambda: tiny_onnx(inputs=("token_type_ids", "attention_mask", "input_ids")), "onnx"),
        (lambda: tiny_onnx(weights=WEIGHTS.astype(np.float16)), "onnx"),
        (lambda: tiny_onnx(outputs={"hidden": "softmax", "logits": "logits"}), "onnx"),
        (lambda: tiny_onnx(shape=("batch", 4)), "onnx"),
        (lambda: tiny.scripted(tiny.Tiny()), "torchscript"),
        (lambda: tiny.traced(tiny.Tiny()), "torchscript"),
    ],
)
def test_a_model_is_wrapped(
    tmp_path: Path, content: Callable[[], bytes], model_format: str
) -> None:
    """The wrapped model answers token ids, even out of range, with calibrated probabilities."""
    check_wrapping(load(tmp_path, content(), model_format))


@pytest.mark.parametrize("model_format", ["onnx", "torchscript"])
def test_a_confined_process_wraps_a_model(tmp_path: Path, model_format: str) -> None:
    """A model of each format answers from the confined process, too."""
    content = tiny_onnx() if model_format == "onnx" else tiny.scripted(tiny.Tiny())
    with opened(tmp_path, content, model_format) as sandbox:
        check_wrapping(sandbox)


def check_wrapping(model: ForeignModel | Sandbox) -> None:
    """Check a model's own answers, and then those of the wrapped model."""
    expected = tiny.expected(ROWS)
    assert np.allclose(model.answer(ROWS), expected, atol=2e-3)
    calibration = Calibration(False, 2.0, tiny.LABELS)
    _ = model.wrap(calibration) if isinstance(model, Sandbox) else model.wrapped(calibration)
    wrapped = model.answer(ROWS)
    assert np.allclose(wrapped, softmax(expected / 2, axis=1), atol=1e-3)
    outside = np.where(ROWS == 19, 99, np.where(ROWS == 0, -1, ROWS)).astype(np.int32)
    assert np.allclose(model.answer(outside), wrapped)


def test_probabilities_are_calibrated_too(tmp_path: Path) -> None:
    """Their logarithms are divided by the temperature; with 1, they stay as they are."""
    content = tiny_onnx(outputs={"probabilities": "softmax"})
    expected = softmax(tiny.expected(ROWS), axis=1)
    for temperature in (1.0, 3.0):
        with opened(tmp_path, content, "onnx") as sandbox:
            assert np.allclose(sandbox.answer(ROWS), expected, atol=1e-5)
            file = sandbox.wrap(Calibration(True, temperature, tiny.LABELS))
            found = softmax(np.log(expected) / temperature, axis=1)
            assert np.allclose(sandbox.answer(ROWS), found, atol=1e-5)
        session = open_session(file)
        assert np.allclose(session.run([OUTPUT_NAME], {INPUT_NAME: ROWS})[0], found, atol=1e-5)
        assert [each.shape for each in session.get_outputs()] == [["batch", "labels"]]
        assert [each.shape for each in session.get_inputs()] == [["batch", "length"]]


def test_a_padding_id_other_than_0(tmp_path: Path) -> None:
    """The mask leaves out the padding, whatever its id."""
    path = tmp_path / "model"
    path.write_bytes(tiny_onnx())
    with Sandbox(path, "onnx", Vocabulary(tiny.VOCABULARY, 7)) as sandbox:
        assert np.allclose(sandbox.answer(ROWS), tiny.expected(ROWS, 7), atol=1e-5)


REFUSED: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "no ONNX": (lambda: b"\x00\xffno model", "onnx", "not an ONNX model; expected an ONNX file"),
    "an empty graph": (lambda: b"", "onnx", "has no opset of ONNX|checker refuses"),
    "truncated": (lambda: tiny_onnx()[:-200], "onnx", "not an ONNX model|checker refuses"),
    "another archive's bytes": (tiny.pickled_code, "onnx", "not an ONNX model"),
    "external weights": (tiny.with_external_data, "onnx", "are in another file; expected one file"),
    "an old opset": (lambda: tiny_onnx(opset=11), "onnx", "opset 11; expected opset 13 to 21"),
    "a new opset": (lambda: tiny_onnx(opset=23), "onnx", "opset 23; expected opset 13 to 21"),
    "an unknown domain": (
        lambda: tiny_onnx(domain="ai.onnx.contrib", operator="Tokenizer"),
        "onnx",
        "the operator ai.onnx.contrib:Tokenizer; expected operators of ai.onnx and com.microsoft",
    ),
    "an operator that loads files": (
        lambda: tiny_onnx(domain="com.microsoft", operator="EPContext"),
        "onnx",
        "the operator com.microsoft:EPContext; expected",
    ),
    "a fixed batch": (
        lambda: tiny_onnx(shape=(1, "length")),
        "onnx",
        r"has the shape \[1, 'length'\]; expected \[batch, length\] with an open batch",
    ),
    "other inputs": (
        lambda: tiny_onnx(inputs=("input_ids", "position_ids")),
        "onnx",
        "inputs are input_ids, position_ids; expected input_ids, and optionally attention_mask",
    ),
    "ids that are numbers": (
        lambda: tiny_onnx(ids=TensorProto.FLOAT),
        "onnx",
        "checker refuses|the input input_ids is FLOAT; expected int64 or int32",
    ),
    "two outputs": (
        lambda: tiny_onnx(outputs={"a": "softmax", "b": "logits"}),
        "onnx",
        "outputs are a, b; expected one output, or one that is called logits or probabilities",
    ),
    "a pickle with code": (
        tiny.pickled_code,
        "torchscript",
        "is a pickle of torch.save; expected an archive that torch.jit.save wrote",
    ),
    "no archive": (lambda: b"PK\x03\x04no", "torchscript", "the file is not an archive"),
    "half an archive": (
        lambda: tiny.scripted(tiny.Tiny())[:-100],
        "torchscript",
        "the file is not an archive",
    ),
    "a zip bomb": (tiny.zip_bomb, "torchscript", "unpacks to 3,221,225,472 bytes; expected"),
    "code that writes a file": (
        lambda: tiny.scripted(tiny.Saves()),
        "torchscript",
        "code has torch.save; expected operators of ATen that neither read nor write files",
    ),
    "other TorchScript inputs": (
        lambda: tiny.scripted(tiny.OtherInputs()),
        "torchscript",
        "inputs are input_ids, position_ids; expected",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_model_that_does_not_fit_is_refused(tmp_path: Path, case: str) -> None:
    """The refusal says what was found and what is expected; no code of the file runs."""
    content, model_format, message = REFUSED[case]
    with pytest.raises(ModelRefused, match=message):
        load(tmp_path, content(), model_format)
    check_nothing_was_written(tmp_path)


@pytest.mark.parametrize("case", ["an old opset", "code that writes a file"])
def test_a_refusal_of_the_confined_process_is_one_here(tmp_path: Path, case: str) -> None:
    """It has the same words."""
    content, model_format, message = REFUSED[case]
    sandbox = opened(tmp_path, content(), model_format)
    with pytest.raises(ModelRefused, match=message), sandbox:
        pass
    check_nothing_was_written(tmp_path)


def check_nothing_was_written(tmp_path: Path) -> None:
    """Check that no code of a model has run."""
    assert {path.name for path in tmp_path.iterdir()} == {"model"}
    assert not Path("run-by-pickle").exists()


def test_what_fails_while_it_runs_is_refused(tmp_path: Path) -> None:
    """Outputs that are no tensor, and ids beyond the model's table, are errors in words."""
    for model, found in ((tiny.TwoOutputs(), "2 values"), (tiny.ReturnsText(), "str")):
        loaded = load(tmp_path, tiny.scripted(model), "torchscript")
        with pytest.raises(ModelRefused, match=f"returns {found}; expected one tensor"):
            loaded.answer(ROWS)
    small = tiny_onnx(weights=WEIGHTS[:10])
    with (
        opened(tmp_path, small, "onnx") as sandbox,
        pytest.raises(ModelRefused, match=r"cannot be run: .*out of data bounds"),
    ):
        sandbox.answer(ROWS)


def test_a_model_that_fails_or_crashes_is_refused(tmp_path: Path) -> None:
    """The refusal has the error's words once, or names the signal that ended the process."""
    with opened(tmp_path, tiny.scripted(tiny.Fails()), "torchscript") as sandbox:
        with pytest.raises(ModelRefused, match=r"cannot be run: \w+: linalg\.inv"):
            sandbox.answer(ROWS[:1])
        with pytest.raises(ModelRefused, match=r"ran the model ended with SIG\w+; expected"):
            sandbox.answer(ROWS)


def test_the_process_can_write_nothing_and_reach_nothing(tmp_path: Path) -> None:
    """It has no network, opens no file for writing, and has a bounded address space."""
    kept = tmp_path / "kept"
    kept.write_text("kept")
    probe = f"""
import socket
from tidemill_jobs.importing.confinement import confine
confine(1 << 30)
for name, attempt in {{
    "truncate": lambda: open({str(kept)!r}, "w"),
    "create": lambda: open({str(tmp_path / "made")!r}, "x"),
    "remove": lambda: __import__("os").unlink({str(kept)!r}),
    "connect": lambda: socket.create_connection(("127.0.0.1", 1), 1),
    "allocate": lambda: bytearray(2 << 30),
}}.items():
    try:
        attempt()
    except (OSError, MemoryError) as error:
        print(name, type(error).__name__)
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", probe], capture_output=True, text=True, check=True
    )
    found = dict(line.split() for line in done.stdout.splitlines())
    assert found.pop("connect") in ("OSError", "ConnectionRefusedError")
    assert found == {
        "truncate": "PermissionError",
        "create": "PermissionError",
        "remove": "PermissionError",
        "allocate": "MemoryError",
    }
    assert kept.read_text() == "kept"
