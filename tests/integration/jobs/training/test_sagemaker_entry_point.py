"""The entry point of SageMaker's container, in the layout of /opt/ml."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tidemill_jobs.training.export import open_export
from tidemill_jobs.training.sagemaker import entry_point
from tidemill_jobs.training.sagemaker.contract import RESULT_FILES, metric_definitions

SPLITS = ("train", "train", "train", "validation", "test")


def lay_out(root: Path, hyperparameters: dict[str, str], labels: int = 2) -> Path:
    """Lay a folder out as SageMaker does, with rows in the channel `dataset`."""
    known = {"weight": 1.0, "label_source": "source"}
    rows = [
        {"text": f"{'card' if n % labels else 'loan'} {n}", "label": str(n % labels), **known}
        for n in range(100)
    ]
    channel, config = root / "input" / "data" / "dataset", root / "input" / "config"
    for folder in (channel, config, root / "output"):
        folder.mkdir(parents=True)
    splits = pl.Series("split", [SPLITS[n // 2 % 5] for n in range(100)])
    pl.DataFrame(rows).with_columns(splits).write_parquet(channel / "rows.parquet")
    (config / "hyperparameters.json").write_text(json.dumps(hyperparameters))
    return root


def test_it_keeps_the_contract(tmp_path: Path) -> None:
    """The model is in `model`, its metrics are found by the expressions, and it can be opened."""
    values = {"network": "ngram", "seed": "3", "trials": "2", "format": "onnx"}
    root = lay_out(tmp_path, values)
    command = [sys.executable, "-m", entry_point.__name__, "--root", str(root)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    assert {path.name for path in (tmp_path / "model").iterdir()} == set(RESULT_FILES)
    assert not (tmp_path / "output" / "failure").exists()
    for metric in metric_definitions():
        assert re.search(metric["Regex"], ended.stdout), metric["Name"]
    described = json.loads((tmp_path / "model" / "description.json").read_text())
    assert described["labels"] == ["0", "1"]
    assert described["record"]["seed"] == 3
    answer = open_export((tmp_path / "model" / "model").read_bytes(), "onnx")
    ids = np.ones((1, described["sequence_length"]), np.int32)
    assert answer(ids).shape == (1, 2)


@pytest.mark.parametrize(
    ("values", "labels", "reason"),
    [
        ({"seed": "-1"}, 2, "CONFIGURATION: wrong settings:\n  seed is '-1': must be"),
        ({"network": "forest"}, 2, "network is 'forest': must be"),
        ({"format": "onxn"}, 2, "CONFIGURATION: format is 'onxn': it must be onnx or torchscript"),
        ({"hyperparameters": "wide"}, 2, "CONFIGURATION: hyperparameters is 'wide': it must be"),
        ({}, 1, "TOO_FEW_LABELS: "),
    ],
)
def test_a_failure_is_explained(
    tmp_path: Path, values: dict[str, str], labels: int, reason: str
) -> None:
    """The failure file has the reason, the exit code is not 0, and there is no model."""
    root = lay_out(tmp_path, values, labels)
    assert entry_point.main(["--root", str(root)]) == 1
    assert reason in (tmp_path / "output" / "failure").read_text()
    assert not (tmp_path / "model" / "model").exists()


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("input/config/hyperparameters.json", None, "No such file or directory"),
        ("input/config/hyperparameters.json", b"{", "Expecting property name"),
        ("input/config/hyperparameters.json", b"[]", "it must be a JSON object"),
        ("input/data/dataset/rows.parquet", None, "No such file or directory"),
        ("input/data/dataset/rows.parquet", b"text,label", "out of specification"),
    ],
)
def test_a_file_of_the_input_that_cannot_be_read_is_named(
    tmp_path: Path, name: str, content: bytes | None, problem: str
) -> None:
    """The failure has its path and the reason."""
    root = lay_out(tmp_path, {"format": "onnx"})
    path = root / name
    path.unlink() if content is None else path.write_bytes(content)
    assert entry_point.main(["--root", str(root)]) == 1
    failure = (root / "output" / "failure").read_text()
    assert failure.startswith(f"INPUT_UNREADABLE: {path} cannot be read: ")
    assert problem in failure


def test_rows_without_a_column_are_refused(tmp_path: Path) -> None:
    """The failure names the column."""
    root = lay_out(tmp_path, {})
    path = root / "input" / "data" / "dataset" / "rows.parquet"
    pl.read_parquet(path).drop("split").write_parquet(path)
    assert entry_point.main(["--root", str(root)]) == 1
    assert "split" in (root / "output" / "failure").read_text()
