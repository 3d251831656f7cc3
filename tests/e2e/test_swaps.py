"""Twenty versions in a row, swapped in under load."""

import collections
import random
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.e2e.conftest import write_rows
from tests.plugins.stack import Stack, running, write_workspace
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
TASK = "colours"
TEXTS = [f"text number {number} is {word}" for number in range(20) for word in ("red", "blue")]


def weights_of_its_own(model: bytes, seed: int) -> bytes:
    """A model with the same graph and other weights."""
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
        """Publish, load and promote a version with weights of its own."""
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


def offline(folder: Path, encoder: TextEncoder) -> dict[str, np.ndarray]:
    """What a version answers to each text, without Triton."""
    session = open_session(folder / "model.onnx")
    (probabilities,) = session.run(None, {"input_ids": encoder.encode(TEXTS)})
    return dict(zip(TEXTS, probabilities, strict=True))


def test_swaps_under_load_lose_and_mix_up_nothing(tmp_path: Path) -> None:
    """32 callers see 20 new champions, no failure, and only the named version's own answers."""
    source = write_rows(tmp_path / "colours.csv", [(text, text.split()[-1]) for text in TEXTS])
    stack = Stack(write_workspace(tmp_path, {TASK: source}))
    answers: list[tuple[str, int, str, float]] = []
    failures: list[Exception] = []
    stopping = threading.Event()

    def call(seed: int) -> None:
        draw = random.Random(seed)
        with stack.client() as client:
            while not stopping.is_set():
                text = draw.choice(TEXTS)
                try:
                    got = client.predict(TASK, text)
                except Exception as error:
                    failures.append(error)
                else:
                    answers.append((text, got.model_version, got.label, got.confidence))

    with (
        running(stack),
        TritonControl(stack.triton_address, control_key(stack.settings())) as triton,
    ):
        publisher = Publisher(stack, stack.storage(), triton)
        callers = [threading.Thread(target=call, args=(seed,)) for seed in range(CALLERS)]
        for caller in callers:
            caller.start()
        published = [publisher.publish().version for _ in range(VERSIONS)]
        time.sleep(1.0)
        stopping.set()
        for caller in callers:
            caller.join()
    assert not failures, collections.Counter(map(str, failures))
    assert set(published) <= {version for _, version, _, _ in answers}
    manifest = publisher.repository.manifest(TASK, "onnx", 1)
    encoder = publisher.repository.encoder(TASK, "onnx", 1)
    expected = {
        version: offline(publisher.repository.folder(TASK, "onnx", version), encoder)
        for version in [1, *published]
    }
    for text, version, label, confidence in answers:
        row = expected[version][text]
        assert confidence == pytest.approx(float(row.max()), abs=1e-5)
        assert label == manifest.labels[int(row.argmax())]
    assert len({float(rows[TEXTS[0]].max()) for rows in expected.values()}) == VERSIONS + 1
