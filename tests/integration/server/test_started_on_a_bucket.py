"""Fronts and Tritons that start with a bucket and no models of their own."""

from pathlib import Path

import pytest

from tests.integration.server.front import NOW, Front, Workspace
from tests.integration.server.test_stored_models import MODEL, PLACE, TASK, store, stored_in
from tests.plugins.s3 import S3, FailingS3
from tests.plugins.triton import RunningTriton
from tests.plugins.waiting import wait_until
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill_core.model_repository import ModelRepository
from tidemill_core.object_storage import ObjectStorage, same_name
from tidemill_core.settings import Settings
from tidemill_core.stored_models import StoredModels
from tidemill_jobs.release.serving import Reconciler, Serving, serve


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace with a champion and a second version."""
    (tmp_path / "a").mkdir()
    return Workspace(tmp_path / "a", {TASK: 2})


@pytest.mark.parametrize("folder", ["empty", "unwritable"])
def test_a_front_starts_from_the_bucket_alone(
    workspace: Workspace, place: str, tmp_path: Path, folder: str
) -> None:
    """With a model folder that it cannot fill, a front fetches what it reads, and no model."""
    root, of_triton = workspace.repository.root, tmp_path / "of-triton"
    store(stored_in(place, root))
    root.rename(of_triton)
    if folder == "empty":
        root.mkdir()
    else:
        root.write_text("")  # the tests may run as root, who may write to any folder
    variables = {"TIDEMILL_MODEL_STORAGE": f"s3://{place}/models"}
    with (
        RunningTriton(of_triton, tmp_path / "triton", (MODEL,)) as triton,
        Front(workspace, triton.grpc_address, environment=variables) as front,
    ):
        answer = front.predictions.Predict(pb.PredictRequest(task=TASK, text="a text"), timeout=30)
        assert answer.prediction.model_version == 1
    fetched = workspace.folder / "var" / "front-models" / MODEL / "1"
    assert {path.name for path in fetched.iterdir()} == {"manifest.json", "tokenizer.json"}
    assert folder == "unwritable" or not list(root.iterdir())


def test_a_front_reads_a_version_that_is_here(
    workspace: Workspace, place: str, tmp_path: Path
) -> None:
    """A version that no bucket has yet is read in the model repository."""
    root = workspace.repository.root
    settings = Settings(
        model_storage=f"s3://{place}/models", model_repository=root, state_dir=tmp_path / "var"
    )
    front = ModelRepository.of_front(settings)
    assert front.manifest(*PLACE) == workspace.repository.manifest(*PLACE)
    assert front.folder(*PLACE) == workspace.repository.folder(*PLACE)
    assert not (tmp_path / "var").exists()


def test_triton_starts_before_there_is_a_model(
    workspace: Workspace, s3: S3, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the jobs have prepared the storage, a Triton starts on it and loads the first model."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    repository = stored_in(place, workspace.repository.root)
    Reconciler(workspace.storage, repository, lambda: NOW, lambda: True).prepare()
    url = f"s3://{s3.endpoint}/{place}/models"
    with RunningTriton(url, tmp_path / "triton", ("*",)) as triton, triton.control() as control:
        assert control.ready_versions(MODEL) == set()
        serve(Serving(workspace.storage.models, repository, control), TASK)
        assert control.ready_versions(MODEL) == {1, 2}


def test_triton_reads_with_a_credentials_file(
    workspace: Workspace, s3: S3, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS's files `credentials` and `config` are enough for Triton and for Tidemill."""
    variables = s3.variables()
    key, secret = variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"]
    credentials, config = tmp_path / "credentials", tmp_path / "config"
    credentials.write_text(
        f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
    )
    config.write_text(f"[default]\nregion = us-east-1\nendpoint_url = {s3.endpoint}\n")
    for name in variables:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    repository = stored_in(place, workspace.repository.root)
    assert repository.stored is not None
    repository.stored.offer(MODEL)
    url = f"s3://{s3.endpoint}/{place}/models"
    with RunningTriton(url, tmp_path / "triton", ("*",)) as triton, triton.control() as control:
        assert control.ready_versions(MODEL) == {1, 2}


def test_the_storage_is_prepared_once_it_answers(workspace: Workspace, place: str) -> None:
    """A bucket that is away when the jobs start does not stop them; they try again."""
    stored = stored_in(place, workspace.repository.root, "failing").stored
    assert stored is not None
    FailingS3.calls_left = 0
    stored.prepare()
    FailingS3.calls_left = float("inf")
    storage = ObjectStorage(f"s3://{place}/models", same_name)
    assert not storage.exists(".keep")

    def is_prepared() -> bool:
        stored.prepare()
        return storage.exists(".keep")

    wait_until(is_prepared, "the storage is prepared")
    assert storage.names() == []


def test_a_storage_that_no_triton_reads_is_left_alone(place: str, tmp_path: Path) -> None:
    """Without a Triton of one's own the bucket has versions only."""
    storage = ObjectStorage(f"s3://{place}/models", same_name)
    StoredModels(storage, tmp_path, is_read=False).prepare()
    assert not storage.exists(".keep")
