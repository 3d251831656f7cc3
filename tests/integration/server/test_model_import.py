"""ImportModelVersion: files arrive complete or not at all."""

import hashlib
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.integration.server.asking import TASKS
from tests.integration.server.front import NOW, Front, Workspace
from tests.integration.server.refusal import refusal, words
from tests.plugins.small_disk import fill, mounted
from tests.plugins.waiting import wait_until
from tidemill.v1 import job_service_pb2
from tidemill.v1 import model_service_pb2 as pb
from tidemill_core.domain.job import JobRun, JobRunState
from tidemill_core.errors import ResourceExhausted
from tidemill_core.model_uploads import MAX_UPLOADS, ModelUploads
from tidemill_core.storage.database import Page
from tidemill_server.convert_runs import import_message
from tidemill_server.handlers.model_import import ImportChunk, ModelImporter, NewImport
from tidemill_server.inference.router import Router

FILES = {
    pb.IMPORT_FILE_KIND_MODEL: b"model" * 1000,
    pb.IMPORT_FILE_KIND_TOKENIZER: b"{}",
    pb.IMPORT_FILE_KIND_LABELS: b"[]",
}


def described(request_id: str = "", **changes: object) -> pb.ImportModelVersionRequest:
    """Return the first message of an import."""
    files = [
        pb.ImportFile(kind=kind, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        for kind, data in FILES.items()
    ]
    fields: dict[str, Any] = {"format": "onnx", "files": files, "max_length": 32, **changes}
    description = pb.ImportDescription(request_id=request_id, **fields)
    return pb.ImportModelVersionRequest(task="support", description=description)


def chunk(kind: pb.ImportFileKind.ValueType, data: bytes) -> pb.ImportModelVersionRequest:
    """Return a part of a file."""
    return pb.ImportModelVersionRequest(task="support", chunk=pb.ImportChunk(kind=kind, data=data))


def messages(
    first: pb.ImportModelVersionRequest | None = None, size: int = 1500
) -> Iterator[pb.ImportModelVersionRequest]:
    """Yield a whole import, in chunks of a size."""
    yield described() if first is None else first
    for kind, data in FILES.items():
        for start in range(0, len(data), size):
            yield chunk(kind, data[start : start + size])


def send(front: Front, sent: Iterator[pb.ImportModelVersionRequest]) -> job_service_pb2.JobRun:
    """Send an import and return its run."""
    return front.models.ImportModelVersion(sent, timeout=20).job_run


def stored(workspace: Workspace) -> list[Path]:
    """Return the folders of imports."""
    folder = workspace.folder / "var" / "imports"
    return sorted(folder.iterdir()) if folder.exists() else []


def queued(workspace: Workspace) -> JobRun | None:
    """Return the run that waits; None if there is none."""
    return workspace.storage.jobs.latest("import_model", "support", [JobRunState.QUEUED])


@pytest.fixture(autouse=True)
def clean(workspace: Workspace) -> Iterator[None]:
    """Cancel the runs of a test and remove their files."""
    yield
    for folder in stored(workspace):
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    while (run := queued(workspace)) is not None:
        workspace.storage.jobs.cancel(run.run_id, NOW)


def test_a_model_is_stored_and_its_run_queued(front: Front, workspace: Workspace) -> None:
    """The run names the stored files, which are those that were sent."""
    run = send(front, messages())
    [folder] = stored(workspace)
    assert run.import_model == job_service_pb2.ImportModelParameters(
        upload_id=folder.name, format="onnx", max_length=32
    )
    assert (run.job, run.task, run.state) == (
        "import_model",
        "support",
        job_service_pb2.JOB_RUN_STATE_QUEUED,
    )
    [record], _ = workspace.storage.audit.page("support", "", Page(1))
    assert (record.method, record.code) == (
        "/tidemill.v1.ModelService/ImportModelVersion",
        "OK",
    )
    assert record.request["description"]["format"] == "onnx"
    names = ("model", "tokenizer", "labels")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == dict(
        zip(names, FILES.values(), strict=True)
    )


def test_imports_do_not_mix(front: Front, workspace: Workspace) -> None:
    """Two that are sent at once are two runs; a repeated request id returns the first run."""
    half = threading.Barrier(2, timeout=10)

    def slowly(request_id: str) -> Iterator[pb.ImportModelVersionRequest]:
        for number, each in enumerate(messages(described(request_id=request_id))):
            if number == 2:
                half.wait()  # both uploads are in the middle
            yield each

    calls = [
        front.models.ImportModelVersion.future(slowly(name), timeout=20) for name in ("i-1", "i-2")
    ]
    runs = [call.result().job_run for call in calls]
    assert send(front, messages(described(request_id="i-1"))) == runs[0]
    folders = {folder.name: folder for folder in stored(workspace)}
    assert {run.import_model.upload_id for run in runs} == folders.keys()
    for folder in folders.values():
        assert (folder / "model").read_bytes() == FILES[pb.IMPORT_FILE_KIND_MODEL]


def _without(kind: pb.ImportFileKind.ValueType) -> pb.ImportModelVersionRequest:
    first = described()
    kept = [file for file in first.description.files if file.kind != kind]
    del first.description.files[:]
    first.description.files.extend(kept)
    return first


def _with_size(size: int) -> pb.ImportModelVersionRequest:
    first = described()
    first.description.files[0].size_bytes = size
    return first


BAD: dict[str, tuple[list[pb.ImportModelVersionRequest], tuple[str, str]]] = {
    "the format is not the task's": (
        [described(format="torchscript")],
        ("FORMAT_NOT_OF_TASK", "description.format"),
    ),
    "a length out of range": (
        [described(max_length=4097)],
        ("LENGTH_OUT_OF_RANGE", "description.max_length"),
    ),
    "no description": (
        [chunk(pb.IMPORT_FILE_KIND_MODEL, b"m")],
        ("DESCRIPTION_MISSING", "description"),
    ),
    "nothing": ([], ("DESCRIPTION_MISSING", "description")),
    "an empty message": (
        [pb.ImportModelVersionRequest(task="support")],
        ("MISSING_CONTENT", "content"),
    ),
    "no labels": (
        [_without(pb.IMPORT_FILE_KIND_LABELS)],
        ("FILES_INCOMPLETE", "description.files"),
    ),
    "an empty file": ([_with_size(0)], ("FILE_EMPTY", "description.files[0].size_bytes")),
    "a huge file": (
        [_with_size((1 << 30) + 1)],
        ("FILE_TOO_LARGE", "description.files[0].size_bytes"),
    ),
    "cut in the middle": ([*messages()][:3], ("UPLOAD_INCOMPLETE", "chunk")),
    "longer than announced": (
        [*messages(), chunk(pb.IMPORT_FILE_KIND_LABELS, b"]")],
        ("UPLOAD_INCOMPLETE", "chunk"),
    ),
    "another content": (
        [*[*messages()][:-1], chunk(pb.IMPORT_FILE_KIND_LABELS, b"{}")],
        ("UPLOAD_INCOMPLETE", "chunk"),
    ),
    "two descriptions": ([described(), described()], ("CHUNK_EXPECTED", "chunk")),
    "another task's chunk": (
        [
            described(),
            pb.ImportModelVersionRequest(
                task="mixed", chunk=pb.ImportChunk(kind=pb.IMPORT_FILE_KIND_MODEL)
            ),
        ],
        ("CHUNK_EXPECTED", "chunk"),
    ),
    "an unknown kind": (
        [described(), chunk(pb.IMPORT_FILE_KIND_UNSPECIFIED, b"m")],
        ("UNKNOWN_VALUE", "chunk.kind"),
    ),
    "a huge chunk": (
        [described(), chunk(pb.IMPORT_FILE_KIND_MODEL, b"m" * ((1 << 20) + 1))],
        ("CHUNK_TOO_LARGE", "chunk.data"),
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_import_leaves_nothing(front: Front, workspace: Workspace, case: str) -> None:
    """The error says what is wrong, no file stays, and no run is queued."""
    sent, expected = BAD[case]
    assert words(refusal(lambda: send(front, iter(sent)))) == ("INVALID_ARGUMENT", *expected)
    assert stored(workspace) == []
    assert queued(workspace) is None


def test_a_caller_that_hangs_up_leaves_nothing(front: Front, workspace: Workspace) -> None:
    """The files of an upload that its caller cancels are removed."""
    hold = messages()

    def some() -> Iterator[pb.ImportModelVersionRequest]:
        yield next(hold)
        yield next(hold)
        wait_until(lambda: len(stored(workspace)) == 1, "the upload begins")
        call.cancel()

    call = front.models.ImportModelVersion.future(some(), timeout=20)
    with pytest.raises(grpc.FutureCancelledError):
        call.result()
    wait_until(lambda: stored(workspace) == [], "the upload is removed")


def test_imports_are_bounded(front: Front, workspace: Workspace) -> None:
    """No more than 16 models wait; the caller is told when to try again."""
    for number in range(MAX_UPLOADS):
        (workspace.folder / "var" / "imports" / f"{number}").mkdir(parents=True)
    refused = refusal(lambda: send(front, messages()))
    assert words(refused) == ("RESOURCE_EXHAUSTED", "TOO_MANY_IMPORTS", "")
    assert refused.retry_seconds == 60


async def test_a_full_disk_is_said(workspace: Workspace, tmp_path: Path) -> None:
    """An import is refused before or while the disk fills, and nothing of it stays."""
    router = Router(workspace.storage.models, workspace.repository, TASKS)
    await router.refresh()
    with mounted(tmp_path / "disk"):
        importer = ModelImporter(
            ModelUploads(tmp_path / "disk"), workspace.storage.jobs, router, lambda: NOW
        )

        async def sent(filling: bool) -> AsyncIterator[NewImport | ImportChunk]:
            yield import_message(described())
            if filling:
                fill(tmp_path / "disk")
            for each in [*messages()][1:]:
                yield import_message(each)

        for filling in (True, False):
            with pytest.raises(ResourceExhausted, match="no room for an import") as caught:
                await importer.receive(sent(filling))
            assert caught.value.reason == "DISK_FULL"
            assert list((tmp_path / "disk" / "imports").iterdir()) == []
