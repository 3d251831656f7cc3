"""Versions swapped under load: twenty in a row, and one rolled back and promoted again."""

import collections
import contextlib
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.e2e.conftest import write_rows
from tests.plugins.stack import Stack, running, write_workspace
from tests.plugins.waiting import wait_until
from tidemill_core.domain.model import ModelState, ModelVersion
from tidemill_core.model_repository import ModelManifest, ModelRepository
from tidemill_core.onnx_session import open_session
from tidemill_core.storage.deployments import Change
from tidemill_core.storage.storage import Storage
from tidemill_core.text import TextEncoder
from tidemill_core.triton.control import TritonControl
from tidemill_core.triton.control_key import control_key
from tidemill_jobs.release.serving import Serving, serve

CALLERS = 32
VERSIONS = 20
# Triton unloads a version without traffic some seconds after the change.
PATIENCE_SECONDS = 60
TASK = "colors"
TEXTS = [f"text number {number} is {word}" for number in range(20) for word in ("red", "blue")]


def weights_of_its_own(model: bytes, seed: int) -> bytes:
    """Return a model with the same graph and other weights."""
    changed = onnx.load_model_from_string(model)
    noise = np.random.default_rng(seed)
    for tensor in changed.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.ndim == 2:
            moved = values + noise.normal(0, 0.1, values.shape).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(moved, tensor.name))
    return bytes(changed.SerializeToString())


class Publisher:
    """Publishes versions into a running stack and makes them champion."""

    def __init__(self, stack: Stack, storage: Storage, triton: TritonControl) -> None:
        self._storage = storage
        self._triton = triton
        self.repository = ModelRepository(stack.workspace / "model_repository")
        self._first = self.repository.manifest(TASK, "onnx", 1)
        folder = self.repository.folder(TASK, "onnx", 1)
        self._model = (folder / "model.onnx").read_bytes()
        self._tokenizer = (folder / "tokenizer.json").read_text()

    def publish(self) -> ModelVersion:
        """Publish, load and promote a version with other weights."""
        now = datetime.now(UTC)
        models = self._storage.models
        candidate = models.add_candidate(TASK, "onnx", self._first.dataset_version, now)
        number = candidate.version
        manifest: ModelManifest = replace(self._first, version=number, files={})
        self.repository.publish(manifest, weights_of_its_own(self._model, number), self._tokenizer)
        models.judge(TASK, number, ModelState.VALIDATED, {}, "a test", now)
        serve(Serving(self._storage.models, self.repository, self._triton), TASK)
        models.promote(TASK, number, Change("test", "", "", datetime.now(UTC)))
        return candidate

    def wait_unloaded(self, version: int) -> None:
        """Wait until Triton has unloaded a version."""
        wait_until(
            lambda: version not in self._triton.ready_versions(f"{TASK}-onnx"),
            f"version {version} is unloaded",
            PATIENCE_SECONDS,
        )


def offline(folder: Path, encoder: TextEncoder) -> dict[str, np.ndarray]:
    """Return a version's answer to each text, without Triton."""
    session = open_session(folder / "model.onnx")
    (probabilities,) = session.run(None, {"input_ids": encoder.encode(TEXTS)})
    return dict(zip(TEXTS, probabilities, strict=True))


@dataclass
class Calls:
    """The answers and failures of calls.

    Attributes:
        answers: text, version, label and confidence of each.
    """

    answers: list[tuple[str, int, str, float]] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    def call_until(self, stopping: threading.Event, stack: Stack, seed: int) -> None:
        """Predict random texts one after the other."""
        draw = random.Random(seed)
        with stack.client() as client:
            while not stopping.is_set():
                text = draw.choice(TEXTS)
                try:
                    got = client.predict(TASK, text)
                except Exception as error:
                    self.failures.append(error)
                else:
                    self.answers.append((text, got.model_version, got.label, got.confidence))

    def wait_for(self, version: int) -> None:
        """Wait until the next answer of a version."""
        seen = len(self.answers)
        wait_until(
            lambda: version in {answer[1] for answer in self.answers[seen:]},
            f"version {version} answers",
            PATIENCE_SECONDS,
        )


@contextlib.contextmanager
def calling(stack: Stack, callers: int) -> Iterator[Calls]:
    """Call the stack from threads until the block ends; no call may fail."""
    calls, stopping = Calls(), threading.Event()
    threads = [
        threading.Thread(target=calls.call_until, args=(stopping, stack, seed))
        for seed in range(callers)
    ]
    for thread in threads:
        thread.start()
    try:
        yield calls
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    assert not calls.failures, collections.Counter(map(str, calls.failures))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run a stack with one task of two labels."""
    folder = tmp_path_factory.mktemp("swaps")
    source = write_rows(folder / "colors.csv", [(text, text.split()[-1]) for text in TEXTS])
    with running(Stack(write_workspace(folder, {TASK: source}))) as started:
        yield started


@pytest.fixture(scope="module")
def publisher(stack: Stack) -> Iterator[Publisher]:
    """Return a publisher of versions into the stack."""
    with TritonControl(stack.triton_address, control_key(stack.settings())) as triton:
        yield Publisher(stack, stack.storage(), triton)


def test_swaps_under_load_lose_and_mix_up_nothing(stack: Stack, publisher: Publisher) -> None:
    """32 callers see 20 new champions, no failure, and only the named version's own answers."""
    with calling(stack, CALLERS) as calls:
        published = [publisher.publish().version for _ in range(VERSIONS)]
        calls.wait_for(published[-1])
    assert set(published) <= {version for _, version, _, _ in calls.answers}
    manifest = publisher.repository.manifest(TASK, "onnx", 1)
    encoder = publisher.repository.encoder(TASK, "onnx", 1)
    expected = {
        version: offline(publisher.repository.folder(TASK, "onnx", version), encoder)
        for version in [1, *published]
    }
    for text, version, label, confidence in calls.answers:
        row = expected[version][text]
        assert confidence == pytest.approx(float(row.max()), abs=1e-5)
        assert label == manifest.labels[int(row.argmax())]
    assert len({float(rows[TEXTS[0]].max()) for rows in expected.values()}) == VERSIONS + 1


def test_a_champion_rolled_back_by_mistake_comes_back(stack: Stack, publisher: Publisher) -> None:
    """Every call is answered while Triton unloads the version and loads it again."""
    mistaken = publisher.publish().version
    with calling(stack, 4) as calls:
        calls.wait_for(mistaken)
        stack.run("models", "rollback", TASK)
        calls.wait_for(mistaken - 1)
        publisher.wait_unloaded(mistaken)
        stack.run("models", "promote", TASK, str(mistaken))
        calls.wait_for(mistaken)
    shown = stack.run("models", "show", TASK, str(mistaken), "--json")
    assert "CHAMPION" in shown.stdout
