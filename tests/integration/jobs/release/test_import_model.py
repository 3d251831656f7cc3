"""Models that were made elsewhere, from their files to a champion, a rejection or a refusal."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor

from tests.integration.jobs.importing import tiny
from tests.integration.jobs.importing.tiny import tiny_onnx
from tests.integration.jobs.release.conftest import WORDS, Loop, open_loop, rows_of
from tests.plugins.triton import RunningTriton
from tidemill_core.domain.gate import GateVerdict
from tidemill_core.domain.job_parameters import ImportModelParameters
from tidemill_core.domain.model import ModelState
from tidemill_core.errors import DataError
from tidemill_core.model_uploads import ImportFileKind, ModelUploads
from tidemill_core.storage.deployments import Change
from tidemill_jobs.context import Result
from tidemill_jobs.importing import import_model
from tidemill_jobs.importing.refusal import ModelRefused
from tidemill_jobs.release.trial import PublishedModel

LABELS = ["loan", "pay", "card"]
"""Not in the order of the task's."""
SPECIAL = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3}
VOCABULARY = SPECIAL | {
    word: number for number, word in enumerate(" ".join(WORDS.values()).split(), len(SPECIAL))
}


def tokenizer(pad: str = "[PAD]") -> Tokenizer:
    """Return a tokenizer of the words that tell the labels apart, framed as BERT's."""
    vocabulary = {pad if word == "[PAD]" else word: number for word, number in VOCABULARY.items()}
    made = Tokenizer(models.WordLevel(vocabulary, "[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return made


def weights(labels: list[str] = LABELS) -> np.ndarray[Any, Any]:
    """Return the rows of logits of a model that knows the words of each label."""
    rows = np.zeros((len(VOCABULARY), len(labels)), np.float32)
    for label, words in WORDS.items():
        for word in words.split():
            rows[VOCABULARY[word], labels.index(label)] = 20.0
    return rows


@dataclass
class Files:
    """The files of an import, and what is asked with them."""

    model: bytes = field(default_factory=lambda: tiny_onnx(weights=weights()))
    tokenizer: bytes = field(default_factory=lambda: tokenizer().to_str().encode())
    labels: Any = field(default_factory=lambda: list(LABELS))
    format: str = "onnx"
    max_length: int = 0


def run_import(loop: Loop, files: Files) -> Result:
    """Store files as the server does, and run the job."""
    uploads = ModelUploads(loop.context.settings.state_dir)
    upload_id, folder = uploads.begin(1)
    labels = files.labels if isinstance(files.labels, bytes) else json.dumps(files.labels).encode()
    contents = (files.model, files.tokenizer, labels)
    for kind, content in zip(ImportFileKind, contents, strict=True):
        (folder / kind.file_name).write_bytes(content)
    uploads.complete(upload_id)
    asked = ImportModelParameters(upload_id, files.format, files.max_length)
    try:
        return import_model.run(replace(loop.context, parameters=asked, run_id=upload_id))
    finally:
        assert not uploads.folder(upload_id).exists()


def with_format(loop: Loop, model_format: str) -> Loop:
    """Return a loop whose task has another format."""
    settings, task = loop.context.settings, loop.context.task
    changed = settings.tasks[task].model_copy(update={"format": model_format})
    settings = settings.model_copy(update={"tasks": {task: changed}})
    return replace(loop, context=replace(loop.context, settings=settings))


def published(loop: Loop, version: int) -> PublishedModel:
    """Return a version as a front serves it."""
    context = loop.context
    return PublishedModel(loop.version(version), context.repository, context.triton)


@pytest.mark.parametrize("model_format", ["onnx", "torchscript"])
def test_a_sound_model_becomes_champion(loop: Loop, model_format: str) -> None:
    """It answers through Triton with its own labels in its own order, calibrated."""
    loop = with_format(loop, model_format)
    files = Files(format=model_format)
    if model_format == "torchscript":
        files.model = tiny.scripted(tiny.Tiny(weights()))
    result = run_import(loop, files)
    assert (result["state"], result["model_version"]) == ("CHAMPION", 1), result["reason"]
    model = published(loop, 1)
    assert list(model.manifest.labels) == LABELS
    assert model.manifest.training is None
    texts, labels = zip(*rows_of(30), strict=True)
    answered = model.answer(texts)
    assert [LABELS[index] for index in answered.argmax(axis=1)] == list(labels)
    assert np.allclose(answered.sum(axis=1), 1, atol=1e-5)
    found = loop.context.storage.models.gate_results(loop.context.task, 1)
    gates = {each.gate: each for each in found}
    assert gates["export"].verdict is GateVerdict.NOT_APPLICABLE
    assert gates["answers"].verdict is GateVerdict.PASSED
    assert gates["memory"].verdict is GateVerdict.PASSED  # measured in a confined process
    deployment = loop.context.storage.models.deployment(loop.context.task)
    assert deployment is not None
    assert deployment.actor == "import_model"


def test_the_gates_reject_and_a_rollback_returns(loop: Loop) -> None:
    """A model with its labels in the wrong order is rejected; a champion is rolled back."""
    assert run_import(loop, Files())["state"] == "CHAMPION"
    wrong = run_import(loop, Files(labels=["pay", "card", "loan"]))
    assert wrong["state"] == "REJECTED"
    assert "accuracy" in wrong["reason"]
    probabilities = tiny_onnx(weights=weights(), outputs={"probabilities": "softmax"})
    hub = {"id2label": {str(n): label for n, label in enumerate(LABELS)}, "pad_token_id": 0}
    second = run_import(loop, Files(model=probabilities, labels=hub))
    assert second["state"] == "CHAMPION", second["reason"]
    store, now = loop.context.storage.models, loop.context.clock()
    store.rollback(loop.context.task, Change("ana", "worse", "", now))
    assert loop.state(1) is ModelState.CHAMPION
    assert loop.state(3) is ModelState.ROLLED_BACK


def test_a_fixed_length_is_kept(loop: Loop) -> None:
    """Rows have the only length that the model takes."""
    files = Files(model=tiny_onnx(weights=weights(), shape=("batch", 12)))
    assert run_import(loop, files)["state"] == "CHAMPION"
    assert published(loop, 1).manifest.sequence_length == 12
    files = Files(max_length=20)
    assert run_import(loop, files)["state"] == "CHAMPION"
    assert published(loop, 2).manifest.sequence_length == 20


@pytest.fixture(scope="module")
def shared_loop(
    tmp_path_factory: pytest.TempPathFactory, repository: Path, triton: RunningTriton
) -> Iterator[Loop]:
    """A task that refuses models, and so never gets a version."""
    yield from open_loop(tmp_path_factory.mktemp("shared"), repository, triton)


class OfBatch(tiny.Tiny):
    """A classifier whose answers depend on the batch."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return logits, less their mean over the batch."""
        kept = self.weights[input_ids] * attention_mask.unsqueeze(2)
        found = kept.sum(1)
        return found - found.mean(0, keepdim=True)


def _nan() -> np.ndarray[Any, Any]:
    broken = weights()
    broken[VOCABULARY["money"]] = np.nan
    return broken


REFUSED = {
    "NaN weights": (
        lambda: Files(model=tiny_onnx(weights=_nan())),
        "with NaN or infinity; expected finite numbers",
    ),
    "too many outputs": (
        lambda: Files(model=tiny_onnx(weights=np.zeros((len(VOCABULARY), 4), np.float32))),
        r"numbers of the shape \(18, 4\); expected \(18, 3\): one number for each",
    ),
    "a sigmoid for each label": (
        lambda: Files(model=tiny_onnx(weights=weights(), outputs={"scores": "sigmoid"})),
        "lie between 0 and 1 and add up to .*; expected logits, or probabilities",
    ),
    "answers that depend on the batch": (
        lambda: Files(model=tiny.scripted(OfBatch(weights())), format="torchscript"),
        "answers a text alone differently",
    ),
    "a small table": (
        lambda: Files(model=tiny_onnx(weights=weights()[:8])),
        "the model cannot be run: .*out of data bounds",
    ),
    "another length": (
        lambda: Files(model=tiny_onnx(weights=weights(), shape=("batch", 12)), max_length=16),
        "takes rows of 12 ids only; expected --max-length 12, or none",
    ),
    "unknown labels": (
        lambda: Files(labels=["loan", "pay", "LABEL_2"]),
        "labels that the task does not: 'LABEL_2'; expected labels such as 'card', 'loan', 'pay'",
    ),
    "a missing label": (
        lambda: Files(labels=["loan", "pay"], model=tiny_onnx(weights=weights()[:, :2])),
        "has 2 labels, without 'card'; expected the 3 labels of the task's training rows",
    ),
    "a label twice": (lambda: Files(labels=["loan", "pay", "pay"]), "labels twice: 'pay'"),
    "labels that are no list": (
        lambda: Files(labels={"a": 1}),
        "has no list of names and no id2label; expected a JSON list of labels",
    ),
    "labels that are no JSON": (lambda: Files(labels=b"\xff["), "is not JSON; expected"),
    "labels nested too deep": (lambda: Files(labels=b"[" * 100_000), "is not JSON; expected"),
    "labels that are numbers": (lambda: Files(labels=[1, 2, 3]), "expected a JSON list of labels"),
    "ids with a gap": (
        lambda: Files(labels={"id2label": {"0": "loan", "2": "pay"}}),
        "id2label has the ids '2'; expected the ids 0 to 1, each once",
    ),
    "no tokenizer": (
        lambda: Files(tokenizer=b'{"version": "1.0"}'),
        "the tokenizer cannot be read: .*; expected the tokenizer.json",
    ),
    "a pickled tokenizer": (
        lambda: Files(tokenizer=tiny.pickled_code()),
        "the tokenizer is not a file of UTF-8 text; expected the tokenizer.json",
    ),
    "no padding token": (
        lambda: Files(tokenizer=tokenizer(pad="[NONE]").to_str().encode()),
        "names no padding token, and the labels file has no pad_token_id; expected one of",
    ),
    "a padding id out of range": (
        lambda: Files(
            labels={"id2label": dict(zip("012", LABELS, strict=True)), "pad_token_id": 99}
        ),
        "the padding id is 99; expected a token id from 0 to 12",
    ),
    "a padding id that is no number": (
        lambda: Files(
            labels={"id2label": dict(zip("012", LABELS, strict=True)), "pad_token_id": "0"}
        ),
        "pad_token_id is '0'; expected a token id, or null",
    ),
    "another format": (
        lambda: Files(format="torchscript"),
        "the format torchscript; expected onnx, the format of the task",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_model_that_does_not_fit_is_refused(shared_loop: Loop, case: str) -> None:
    """The refusal says what was found and what is expected, and no version is made."""
    make, message = REFUSED[case]
    files = make()
    loop = shared_loop
    if case == "answers that depend on the batch":
        loop = with_format(loop, "torchscript")
    with pytest.raises(ModelRefused, match=message):
        run_import(loop, files)
    assert loop.context.storage.models.in_states(loop.context.task, list(ModelState)) == []


def test_an_import_whose_files_are_gone(shared_loop: Loop) -> None:
    """It fails and says what to do; so does a run without files."""
    asked = ImportModelParameters("gone", "onnx")
    for parameters, reason in ((asked, "UPLOAD_GONE"), (None, "NOTHING_TO_IMPORT")):
        with pytest.raises(DataError, match="import") as caught:
            import_model.run(replace(shared_loop.context, parameters=parameters))
        assert caught.value.reason == reason
