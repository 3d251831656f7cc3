"""`tidemill models import`: the upload of a model made elsewhere, and the verdict on it."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer

from tidemill.v1 import job_service_pb2
from tidemill.v1 import model_service_pb2 as pb
from tidemill_cli.connection import connected, explanation
from tidemill_cli.failure import CannotRead, NotAccepted, UnknownTask, WrongUsage
from tidemill_cli.job_run import follow, print_end, require_success
from tidemill_cli.options import Address, AsJson, ForTask
from tidemill_cli.tasks import the_task
from tidemill_client import InvalidRequest, TidemillClient, translated_errors

EXAMPLE = (
    "Example: tidemill models import --model model.onnx --tokenizer tokenizer.json "
    "--labels config.json"
)
_FORMATS = {".onnx": "onnx", ".pt": "torchscript"}
_CHUNK_BYTES = 1 << 20
_REFUSED = "MODEL_REFUSED"
_ACCEPTED = ("CHAMPION", "VALIDATED", "AWAITING_APPROVAL")

Files = Mapping[pb.ImportFileKind.ValueType, Path]


def import_model(
    model: Annotated[Path, typer.Option(help="An ONNX (.onnx) or TorchScript (.pt) file.")],
    tokenizer: Annotated[Path, typer.Option(help="Its tokenizer.json.")],
    labels: Annotated[
        Path,
        typer.Option(help="A JSON list of its labels in order, or a config.json with id2label."),
    ],
    task: ForTask = "",
    max_length: Annotated[
        int, typer.Option(min=0, max=4096, help="Token ids in a row; 0 chooses a length that fits.")
    ] = 0,
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Import a model that was made elsewhere, and wait for the verdict of the gates.

    The exit code is 0 if the version is served, validated or waits for an approval, and 4 if the
    model was refused or the gates rejected it.
    """
    files = {
        pb.IMPORT_FILE_KIND_MODEL: model,
        pb.IMPORT_FILE_KIND_TOKENIZER: tokenizer,
        pb.IMPORT_FILE_KIND_LABELS: labels,
    }
    described = pb.ImportDescription(format=_format_of(model), max_length=max_length)
    described.files.extend(_described(kind, path) for kind, path in files.items())
    with connected(address) as client:
        named = the_task(client, task, address)
        queued = _send(client, _messages(named, described, files))
        finish = follow(client, queued.run_id)
    print_end(finish, as_json)
    _require_accepted(finish)


def _format_of(model: Path) -> str:
    if model.suffix not in _FORMATS:
        suffixes = " or ".join(_FORMATS)
        raise WrongUsage(f"{model} is neither ONNX nor TorchScript: its name ends with {suffixes}")
    return _FORMATS[model.suffix]


def _described(kind: pb.ImportFileKind.ValueType, path: Path) -> pb.ImportFile:
    digest, size = hashlib.sha256(), 0
    try:
        for data in _chunks(path):
            digest.update(data)
            size += len(data)
    except OSError as error:
        raise CannotRead(path, error) from error
    if not size:
        raise WrongUsage(f"{path} is empty")
    return pb.ImportFile(kind=kind, size_bytes=size, sha256=digest.hexdigest())


def _messages(
    task: str, described: pb.ImportDescription, files: Files
) -> Iterator[pb.ImportModelVersionRequest]:
    yield pb.ImportModelVersionRequest(task=task, description=described)
    for kind, path in files.items():
        for data in _chunks(path):
            chunk = pb.ImportChunk(kind=kind, data=data)
            yield pb.ImportModelVersionRequest(task=task, chunk=chunk)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(_CHUNK_BYTES):
            yield data


def _send(
    client: TidemillClient, messages: Iterator[pb.ImportModelVersionRequest]
) -> job_service_pb2.JobRun:
    """Send a model, and return the run that judges it.

    Raises:
        NotAccepted: the server refused it.
    """
    try:
        with translated_errors():
            # No timeout: a large model may take any time.
            return client.models.ImportModelVersion(messages).job_run
    except InvalidRequest as error:
        if error.reason == UnknownTask.reason:
            raise
        raise NotAccepted(f"the model was refused: {explanation(error)}") from error


def _require_accepted(run: job_service_pb2.JobRun) -> None:
    """Fail unless the imported version is served, validated or waits for an approval.

    Raises:
        NotAccepted: the model does not fit the task, or the gates rejected it.
        CommandFailed: the run failed for another reason.
    """
    if run.error.startswith(f"{_REFUSED}: "):
        raise NotAccepted(f"the model was refused: {run.error.removeprefix(f'{_REFUSED}: ')}")
    require_success(run)
    state = run.result.fields["state"].string_value
    if state not in _ACCEPTED:
        reason = run.result.fields["reason"].string_value
        raise NotAccepted(f"the version is {state}: {reason}")
