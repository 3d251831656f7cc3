"""Models that were made elsewhere: their files are stored, and a run that judges them is queued."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tidemill_core.clock import Clock
from tidemill_core.counted import counted
from tidemill_core.domain.job import IMPORT_MODEL, JobRun, Trigger
from tidemill_core.domain.job_parameters import ImportModelParameters
from tidemill_core.durable import DISK_FULL, sync
from tidemill_core.errors import InvalidArgument
from tidemill_core.model_uploads import MAX_BYTES, ImportFileKind, ModelUploads, disk_full
from tidemill_core.storage.jobs import JobStore, RunRequest
from tidemill_server.handlers.fields import MAX_KEY_LENGTH, check_words
from tidemill_server.inference.router import Router

MAX_CHUNK_BYTES = 1 << 20
MAX_LENGTH = 4096
"""The most token ids in a row."""
STALL_SECONDS = 60.0
"""How long an upload may pause between two messages."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ImportFile:
    """A file that is to come: its size, and its SHA-256 in hexadecimal."""

    kind: ImportFileKind
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class NewImport:
    """The description of a model whose files follow.

    Attributes:
        task: the task.
        format: `onnx` or `torchscript`.
        files: one of each kind.
        max_length: token ids in a row; 0 if the job chooses.
        request_id: a repeated id returns the first run; may be empty.
    """

    task: str
    format: str
    files: Sequence[ImportFile]
    max_length: int
    request_id: str


@dataclass(frozen=True)
class ImportChunk:
    """A part of a file of a task's model."""

    task: str
    kind: ImportFileKind
    data: bytes


Messages = AsyncIterator[NewImport | ImportChunk]


@dataclass(frozen=True)
class ModelImporter:
    """Stores the files of models, and queues the runs that judge them."""

    uploads: ModelUploads
    jobs: JobStore
    router: Router
    clock: Clock

    async def receive(self, messages: Messages) -> JobRun:
        """Store a model's files completely or not at all, and queue `import_model`.

        Raises:
            InvalidArgument: a message breaks a rule, or the files are incomplete or damaged.
            ResourceExhausted: TOO_MANY_IMPORTS or DISK_FULL.
        """
        described = await _next(messages)
        if not isinstance(described, NewImport):
            rule = "must be set in the first message"
            raise InvalidArgument("DESCRIPTION_MISSING", "description", rule)
        self._check(described)
        size = sum(file.size_bytes for file in described.files)
        upload_id, folder = await asyncio.to_thread(self.uploads.begin, size)
        run: JobRun | None = None
        try:
            await _fill(folder, described, messages)
            await asyncio.to_thread(self.uploads.complete, upload_id)
            run = await asyncio.to_thread(self._queue, described, upload_id)
        except OSError as error:
            if error.errno in DISK_FULL:
                raise disk_full(size) from error
            raise
        finally:
            if run is None or not _is_of(run, upload_id):  # failed, or a repeated request
                await asyncio.to_thread(self.uploads.remove, upload_id)
        return run

    def _check(self, new: NewImport) -> None:
        expected = self.router.task_settings(new.task).format
        if new.format != expected:
            rule = (
                f"is {new.format[:20]!r}, but task {new.task!r} has the format {expected!r}: "
                f"export the model to it, or set tasks.{new.task}.format in tidemill.toml"
            )
            raise InvalidArgument("FORMAT_NOT_OF_TASK", "description.format", rule)
        if not 0 <= new.max_length <= MAX_LENGTH:
            rule = f"is {new.max_length}; it is at most {MAX_LENGTH}, or 0"
            raise InvalidArgument("LENGTH_OUT_OF_RANGE", "description.max_length", rule)
        check_words("description.request_id", new.request_id, MAX_KEY_LENGTH)
        kinds = sorted(file.kind for file in new.files)
        if kinds != sorted(ImportFileKind):
            rule = "must be one of each kind: MODEL, TOKENIZER and LABELS"
            raise InvalidArgument("FILES_INCOMPLETE", "description.files", rule)
        for number, file in enumerate(new.files):
            _check_file(f"description.files[{number}]", file)

    def _queue(self, new: NewImport, upload_id: str) -> JobRun:
        parameters = ImportModelParameters(upload_id, new.format, new.max_length)
        request = RunRequest(
            IMPORT_MODEL,
            new.task,
            Trigger.RPC,
            request_id=new.request_id,
            parameters=parameters,
        )
        return self.jobs.enqueue(request, self.clock())


def _is_of(run: JobRun, upload_id: str) -> bool:
    found = run.parameters
    return isinstance(found, ImportModelParameters) and found.upload_id == upload_id


def _check_file(field: str, file: ImportFile) -> None:
    limit = MAX_BYTES[file.kind]
    kind = file.kind.lower()
    if file.size_bytes < 1:
        raise InvalidArgument("FILE_EMPTY", f"{field}.size_bytes", f"the {kind} file is empty")
    if file.size_bytes > limit:
        rule = f"is {file.size_bytes:,}; a {kind} file has at most {limit:,} bytes"
        raise InvalidArgument("FILE_TOO_LARGE", f"{field}.size_bytes", rule)
    if not _SHA256.fullmatch(file.sha256):
        raise InvalidArgument("NOT_A_DIGEST", f"{field}.sha256", "is not 64 hexadecimal digits")


async def _next(messages: Messages) -> NewImport | ImportChunk | None:
    """Return the next message; None at the end.

    Raises:
        InvalidArgument: UPLOAD_STALLED, nothing came for STALL_SECONDS.
    """
    try:
        async with asyncio.timeout(STALL_SECONDS):
            return await anext(messages, None)
    except TimeoutError as error:
        rule = f"nothing came for {STALL_SECONDS:g} s; import the model again"
        raise InvalidArgument("UPLOAD_STALLED", "chunk", rule) from error


async def _fill(folder: Path, described: NewImport, messages: Messages) -> None:
    """Write the files that a description announces into a folder."""
    with ExitStack() as opened:
        files = {
            file.kind: opened.enter_context(_StoredFile(folder / file.kind.file_name, file))
            for file in described.files
        }
        while (chunk := await _next(messages)) is not None:
            if not isinstance(chunk, ImportChunk) or chunk.task != described.task:
                rule = f"must follow the description, for the task {described.task!r}"
                raise InvalidArgument("CHUNK_EXPECTED", "chunk", rule)
            await asyncio.to_thread(files[chunk.kind].write, chunk.data)
        for file in files.values():
            await asyncio.to_thread(file.finish)


class _StoredFile:
    """A file that is being received."""

    def __init__(self, path: Path, expected: ImportFile) -> None:
        self._path = path
        self._expected = expected
        self._digest = hashlib.sha256()
        self._size = 0
        self._file: BinaryIO

    def __enter__(self) -> "_StoredFile":
        self._file = self._path.open("xb")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        """Append a chunk.

        Raises:
            InvalidArgument: it is too large, or the file is longer than announced.
        """
        if len(data) > MAX_CHUNK_BYTES:
            rule = f"has {len(data):,} bytes; the limit is {MAX_CHUNK_BYTES:,}"
            raise InvalidArgument("CHUNK_TOO_LARGE", "chunk.data", rule)
        self._size += len(data)
        if self._size > self._expected.size_bytes:
            raise self._differs(
                f"is longer than the {counted(self._expected.size_bytes, 'byte')} announced"
            )
        self._digest.update(data)
        self._file.write(data)

    def finish(self) -> None:
        """Wait until the file is on the disk.

        Raises:
            InvalidArgument: it is not the announced file.
        """
        if self._size < self._expected.size_bytes:
            raise self._differs(
                f"ended after {self._size:,} of {counted(self._expected.size_bytes, 'byte')}"
            )
        if self._digest.hexdigest() != self._expected.sha256:
            raise self._differs("arrived damaged: its SHA-256 is different")
        self._file.flush()
        sync(self._path)

    def _differs(self, how: str) -> InvalidArgument:
        kind = self._expected.kind
        return InvalidArgument("UPLOAD_INCOMPLETE", "chunk", f"the {kind} {how}; import it again")
