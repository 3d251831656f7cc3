"""Model versions in object storage: other machines, and a Triton that reads them there."""

import shutil
import threading
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import fsspec
import numpy as np
import pytest
from fsspec.implementations.local import LocalFileSystem

from tests.integration.server.front import NOW, Workspace
from tests.plugins.s3 import S3, FailingS3
from tests.plugins.triton import RunningTriton
from tests.plugins.waiting import wait_until
from tidemill_core.domain.model import ModelVersion
from tidemill_core.errors import DataError
from tidemill_core.model_repository import ModelRepository
from tidemill_core.object_errors import ObjectDamaged, ObjectStorageUnavailable
from tidemill_core.object_storage import ObjectStorage, same_name
from tidemill_core.settings import TaskSettings
from tidemill_core.storage.deployments import Change
from tidemill_core.stored_models import ModelVersionMissing, StoredModels
from tidemill_core.triton.config import read_versions
from tidemill_core.triton.served import configure
from tidemill_jobs.release.serving import Serving, serve
from tidemill_server.inference.router import Router

TASK, MODEL = "support", "support-onnx"
PLACE = (TASK, "onnx", 1)


def stored_in(place: str, root: Path, scheme: str = "s3") -> ModelRepository:
    """Return a machine's model repository, whose versions are stored in a place."""
    storage = ObjectStorage(f"{scheme}://{place}/models", same_name)
    return ModelRepository(root, StoredModels(storage, root, is_read=True))


def store(repository: ModelRepository) -> None:
    """Store what the repository has."""
    assert repository.stored is not None
    repository.stored.store(MODEL)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace with a champion and a second version."""
    (tmp_path / "a").mkdir()
    return Workspace(tmp_path / "a", {TASK: 2})


def versions(workspace: Workspace) -> list[ModelVersion]:
    """Return the versions that Triton is to serve."""
    return workspace.storage.models.versions_to_serve(TASK)


def test_another_machine_fetches_a_version(
    workspace: Workspace, place: str, tmp_path: Path
) -> None:
    """A machine without a version gets it whole when it reads it or configures its Triton."""
    root = workspace.repository.root
    store(stored_in(place, root))
    other = stored_in(place, tmp_path / "b")
    assert other.manifest(*PLACE) == workspace.repository.manifest(*PLACE)
    assert other.damage(*PLACE) is None
    third = stored_in(place, tmp_path / "c")
    assert configure(third, versions(workspace)) == [MODEL]
    model = third.folder(*PLACE) / "model.onnx"
    assert model.read_bytes() == (root / MODEL / "1" / "model.onnx").read_bytes()
    with pytest.raises(ModelVersionMissing):
        other.manifest(TASK, "onnx", 9)


def test_storing_that_is_cut_off_at_any_step(
    workspace: Workspace, place: str, tmp_path: Path
) -> None:
    """Another machine has the version whole or not at all, and a repetition completes it."""
    shutil.rmtree(workspace.repository.root / MODEL / "2")
    for calls in count():
        FailingS3.calls_left = calls
        here, root = f"{place}/{calls}", tmp_path / str(calls)
        try:
            store(stored_in(here, workspace.repository.root, "failing"))
            break
        except ObjectStorageUnavailable:
            other = stored_in(here, root)
            try:
                assert other.damage(*PLACE) is None or not other.folder(*PLACE).exists()
            finally:
                FailingS3.calls_left = float("inf")
            store(stored_in(here, workspace.repository.root, "failing"))
            assert stored_in(here, tmp_path / f"{calls}-again").damage(*PLACE) is None
    assert calls > 4


def test_a_damaged_model_is_refused(
    workspace: Workspace, s3: S3, place: str, tmp_path: Path
) -> None:
    """A model that was changed in the bucket is named, and is never on another machine's disk."""
    store(stored_in(place, workspace.repository.root))
    s3.files().pipe_file(f"{place}/models/{MODEL}/1/model.onnx", b"another")
    other = stored_in(place, tmp_path / "b")
    with pytest.raises(ObjectDamaged, match=r"model\.onnx is damaged"):
        other.manifest(*PLACE)
    assert not other.folder(*PLACE).exists()


def test_a_machine_that_cannot_write(workspace: Workspace, place: str, tmp_path: Path) -> None:
    """A version that cannot be fetched is missing there, so routes of other tasks go on."""
    store(stored_in(place, workspace.repository.root))
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelVersionMissing, match="Not a directory"):
        stored_in(place, tmp_path / "file" / "b").manifest(*PLACE)


def test_a_number_belongs_to_one_version(workspace: Workspace, place: str, tmp_path: Path) -> None:
    """A workspace with another database cannot replace a stored version."""
    store(stored_in(place, workspace.repository.root))
    manifest = tmp_path / "a" / "model_repository" / MODEL / "2" / "manifest.json"
    manifest.write_text(manifest.read_text() + " ")
    with pytest.raises(DataError, match="one URL is for one database"):
        store(stored_in(place, workspace.repository.root))


def test_triton_sees_that_a_configuration_changed(workspace: Workspace, place: str) -> None:
    """Each configuration has a time of its own, though S3's times are whole seconds."""
    repository = stored_in(place, workspace.repository.root)
    assert repository.stored is not None
    both = versions(workspace)
    times = set()
    for served in (both, both[:1], both):
        configure(repository, served)
        repository.stored.offer(MODEL)
        storage = ObjectStorage(f"s3://{place}/models", same_name)
        times.add(storage.modified(f"{MODEL}/config.pbtxt"))
    assert len(times) == 3


def test_triton_reads_the_storage(
    workspace: Workspace, s3: S3, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real Triton loads from S3, and a swap there does not fail a call."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    repository = stored_in(place, workspace.repository.root)
    assert repository.stored is not None
    served = versions(workspace)
    first = [version for version in served if version.version == 1]
    second = next(version for version in served if version.version == 2)
    configure(repository, first)
    repository.stored.offer(MODEL)
    url = f"s3://{s3.endpoint}/{place}/models"
    rows, stop, failed = np.ones((1, 4), dtype=np.int32), threading.Event(), []
    with RunningTriton(url, tmp_path / "triton", (MODEL,)) as triton, triton.control() as control:
        assert control.ready_versions(MODEL) == {1}

        def ask() -> None:
            with triton.control() as asking:
                while not stop.is_set():
                    try:
                        asking.infer(MODEL, 1, rows)
                    except Exception as error:
                        failed.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            serving = Serving(workspace.storage.models, repository, control)
            serve(serving, TASK, candidate=None if second in first else second)
            assert control.ready_versions(MODEL) == {1, 2}
            assert control.infer(MODEL, 2, rows).shape[0] == 1
            configure(repository, first)
            repository.stored.offer(MODEL)
            control.load(MODEL)
            wait_until(lambda: control.ready_versions(MODEL) == {1}, "version 2 is unloaded")
        finally:
            stop.set()
            thread.join()
    assert failed == []
    assert read_versions(repository.root, MODEL) == (1,)


class HeldFiles(LocalFileSystem):  # type: ignore[misc]  # it has no types
    """Files whose downloads wait; URLs start with `held://`."""

    protocol = ("held",)
    may_download = threading.Event()

    def get_file(self, *arguments: Any, **options: Any) -> None:
        """Copy a file once downloads may go on."""
        HeldFiles.may_download.wait()
        super().get_file(*arguments, **options)


@pytest.mark.anyio
async def test_routes_do_not_wait_for_a_download(tmp_path: Path) -> None:
    """While a front fetches a task's new version, the routes of others follow the database."""
    fsspec.register_implementation("held", HeldFiles, clobber=True)
    (tmp_path / "a").mkdir()
    workspace = Workspace(tmp_path / "a", {TASK: 1, "spam": 2})
    (tmp_path / "stored").mkdir()
    root, models = workspace.repository.root, workspace.storage.models
    held = ObjectStorage(f"held://{tmp_path}/stored", same_name)
    repository = ModelRepository(root, StoredModels(held, root, is_read=False))
    settings = TaskSettings.model_validate({"sources": [{"path": "x.csv"}]})
    router = Router(models, repository, {TASK: settings, "spam": settings})
    await router.refresh()
    workspace.publish(TASK)
    written = ObjectStorage(f"file://{tmp_path}/stored", same_name)
    StoredModels(written, root, is_read=False).store(MODEL)
    (root / MODEL / "2").rename(tmp_path / "gone")
    models.promote(TASK, 2, Change("ann", "", "", NOW))
    models.promote("spam", 2, Change("ann", "", "", NOW))
    await router.refresh()
    assert router.choose("spam", 0, "").model.version == 2
    assert router.choose(TASK, 0, "").model.version == 1
    HeldFiles.may_download.set()
    with anyio.fail_after(30):
        while router.choose(TASK, 0, "").model.version == 1:
            await router.refresh()
