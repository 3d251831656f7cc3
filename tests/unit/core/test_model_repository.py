"""The model repository: a version folder is complete or missing."""

import errno
import json
import resource
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tidemill_core.errors import DataError
from tidemill_core.model_repository import (
    TOKENIZER_FILE,
    ModelManifest,
    ModelRepository,
    Reference,
    ReliabilityBin,
    TrainingRecord,
)
from tidemill_core.stored_models import MANIFEST_FILE
from tidemill_core.text_repair import REPAIR_VERSION, TextRepair

MODEL, TOKENIZER = b"weights" * 1000, '{"vocab": ["é"]}'
MANIFEST = ModelManifest(
    task="support",
    version=3,
    model_format="onnx",
    labels=("card_arrival", "verlorene Karte", "カード"),
    sequence_length=64,
    vocabulary_size=8000,
    temperature=1.25,
    measures={"accuracy": 0.9, "test_rows": 700},
    reference=Reference((300, 200, 200), (0, 0, 100, 600)),
    dataset_version="d" * 64,
    run_id="r1",
    create_time="2026-03-01T12:00:00+00:00",
    text_repair=TextRepair(redact=("email", "iban")),
    training=TrainingRecord("ngram", 7, 1, {"rate": 0.003, "steps": 2800}, "a" * 64),
    reliability=(ReliabilityBin(0, 0.0, 0.0), ReliabilityBin(700, 0.9, 0.89)),
    abstain_below=0.61,
)


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    """Return an empty repository."""
    return ModelRepository(tmp_path / "models")


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("model_format", "file"), [("onnx", "model.onnx"), ("torchscript", "model.pt")]
)
def test_publish(repository: ModelRepository, model_format: str, file: str) -> None:
    """A version folder has the model, tokenizer and manifest, and no staged file is left."""
    folder = repository.publish(replace(MANIFEST, model_format=model_format), MODEL, TOKENIZER)
    assert folder == repository.root / f"support-{model_format}" / "3"
    assert _names(folder) == sorted([file, MANIFEST_FILE, TOKENIZER_FILE])
    assert (folder / file).read_bytes() == MODEL
    assert (folder / TOKENIZER_FILE).read_text(encoding="utf-8") == TOKENIZER
    # A Triton that loads all models takes every folder for one.
    assert _names(repository.root) == [f"support-{model_format}"]
    assert _names(folder.parent) == ["3"]


def test_the_manifest_reads_back(repository: ModelRepository) -> None:
    """The manifest that is read equals the published one, with the SHA-256 of each file."""
    repository.publish(MANIFEST, MODEL, TOKENIZER)
    found = repository.manifest("support", "onnx", 3)
    assert replace(found, files={}) == MANIFEST
    assert sorted(found.files) == ["model.onnx", TOKENIZER_FILE]
    assert repository.damage("support", "onnx", 3) is None


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (None, TextRepair(1)),
        ({"version": REPAIR_VERSION, "redact": ["card"]}, TextRepair(redact=("card",))),
        ({"version": REPAIR_VERSION + 1, "redact": []}, None),
        ({"version": REPAIR_VERSION, "redact": ["ssn"]}, None),
    ],
)
def test_a_version_is_asked_as_it_was_trained(
    repository: ModelRepository, written: dict[str, object] | None, read: TextRepair | None
) -> None:
    """The manifest names the repair; a manifest without one means version 1."""
    folder = repository.publish(MANIFEST, MODEL, TOKENIZER)
    values = json.loads((folder / MANIFEST_FILE).read_bytes())
    del values["text_repair"]
    if written is not None:
        values["text_repair"] = written
    (folder / MANIFEST_FILE).write_text(json.dumps(values), encoding="utf-8")
    if read is not None:
        assert repository.manifest("support", "onnx", 3).text_repair == read
        return
    with pytest.raises(DataError, match=r"text repair version|cannot be redacted"):
        repository.manifest("support", "onnx", 3)


def test_versions_never_change(repository: ModelRepository) -> None:
    """An existing version is not published again and does not change."""
    folder = repository.publish(MANIFEST, MODEL, TOKENIZER)
    with pytest.raises(DataError) as caught:
        repository.publish(MANIFEST, b"other", TOKENIZER)
    assert caught.value.reason == "MODEL_VERSION_EXISTS"
    assert (folder / "model.onnx").read_bytes() == MODEL
    repository.publish(replace(MANIFEST, version=4), MODEL, TOKENIZER)
    assert _names(folder.parent) == ["3", "4"]


def test_published_at_once(repository: ModelRepository) -> None:
    """Of several processes that publish a version at once, one succeeds; the others fail."""

    def publish(number: int) -> str:
        try:
            repository.publish(MANIFEST, bytes([number]) * 1000, TOKENIZER)
        except DataError as error:
            return error.reason
        return "published"

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(publish, range(8)))
    assert answers == ["MODEL_VERSION_EXISTS"] * 7 + ["published"]
    assert repository.damage("support", "onnx", 3) is None
    assert _names(repository.root / "support-onnx") == ["3"]


def test_a_write_that_fails_leaves_nothing(repository: ModelRepository) -> None:
    """When a full disk takes only part of a model, no version is published."""
    repository.publish(replace(MANIFEST, version=2), MODEL, TOKENIZER)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(MODEL) // 2, hard))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            repository.publish(MANIFEST, MODEL, TOKENIZER)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG
    assert _names(repository.root / "support-onnx") == ["2"]
    repository.publish(MANIFEST, MODEL, TOKENIZER)
    assert repository.damage("support", "onnx", 3) is None


def test_a_name_that_is_taken_leaves_nothing_staged(repository: ModelRepository) -> None:
    """When a version cannot be renamed into place, its staged files are removed."""
    repository.root.mkdir()
    (repository.root / "support-onnx").write_text("not a folder")
    with pytest.raises(OSError, match="support-onnx"):
        repository.publish(MANIFEST, MODEL, TOKENIZER)
    assert _names(repository.root) == ["support-onnx"]


def test_a_missing_version(repository: ModelRepository) -> None:
    """A version that was never published is MODEL_VERSION_MISSING."""
    with pytest.raises(DataError, match=MANIFEST_FILE) as caught:
        repository.manifest("support", "onnx", 3)
    assert caught.value.reason == "MODEL_VERSION_MISSING"
    assert repository.damage("support", "onnx", 3) == str(caught.value)


def _without(name: str) -> Callable[[str], str]:
    def remove(text: str) -> str:
        values = json.loads(text)
        del values[name]
        return json.dumps(values)

    return remove


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda _: "",
        lambda _: "null",
        lambda _: '"text"',
        lambda _: "[]",
        lambda _: "{}",
        lambda text: text.replace('"reference": {', '"reference": [], "other": {'),
        _without("labels"),
        _without("reference"),
        _without("task"),
    ],
)
def test_a_damaged_manifest(repository: ModelRepository, damage: Callable[[str], str]) -> None:
    """A truncated or changed manifest is MANIFEST_DAMAGED, with its path."""
    path = repository.publish(MANIFEST, MODEL, TOKENIZER) / MANIFEST_FILE
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(DataError, match=MANIFEST_FILE) as caught:
        repository.manifest("support", "onnx", 3)
    assert caught.value.reason == "MANIFEST_DAMAGED"


def test_bytes_that_are_no_text(repository: ModelRepository) -> None:
    """A manifest that is not UTF-8 is damaged."""
    path = repository.publish(MANIFEST, MODEL, TOKENIZER) / MANIFEST_FILE
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError) as caught:
        repository.manifest("support", "onnx", 3)
    assert caught.value.reason == "MANIFEST_DAMAGED"


@pytest.mark.parametrize("name", ["model.onnx", TOKENIZER_FILE])
def test_damage_is_found(repository: ModelRepository, name: str) -> None:
    """A truncated, changed or missing file is named."""
    path = repository.publish(MANIFEST, MODEL, TOKENIZER) / name
    whole = path.read_bytes()
    for content in (whole[:-1], b"", b"X" + whole[1:], whole + b"\0"):
        path.write_bytes(content)
        assert repository.damage("support", "onnx", 3) == (
            f"{path} differs from the published file: its SHA-256 is different"
        )
    path.unlink()
    assert repository.damage("support", "onnx", 3) == f"{path} is missing"
    path.write_bytes(whole)
    assert repository.damage("support", "onnx", 3) is None


def test_a_version_taken_away(repository: ModelRepository) -> None:
    """A removed folder is missing, and its number can be published again."""
    shutil.rmtree(repository.publish(MANIFEST, MODEL, TOKENIZER))
    assert repository.damage("support", "onnx", 3) is not None
    repository.publish(MANIFEST, MODEL, TOKENIZER)
    assert repository.damage("support", "onnx", 3) is None
