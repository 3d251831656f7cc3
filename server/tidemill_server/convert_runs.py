"""Conversion of job runs, of their parameters, of imported models, and of rollouts."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from tidemill.v1 import job_service_pb2, model_service_pb2
from tidemill_core.domain.job import (
    EVALUATE,
    IMPORT_MODEL,
    REPRODUCE_MODEL,
    RETRAIN,
    SCORE,
    JobRun,
)
from tidemill_core.domain.job_parameters import (
    EvaluateParameters,
    JobParameters,
    ReproduceModelParameters,
    RetrainParameters,
    ScoreParameters,
    TrainingPlace,
)
from tidemill_core.errors import InvalidArgument
from tidemill_core.model_uploads import ImportFileKind
from tidemill_server.convert import known_value, message, value_of
from tidemill_server.handlers.model_import import ImportChunk, ImportFile, NewImport
from tidemill_server.handlers.rollout import RolloutProgress

_PLACES: Mapping[int, TrainingPlace] = {
    job_service_pb2.TRAINING_PLACE_UNSPECIFIED: TrainingPlace.LOCAL,
    job_service_pb2.TRAINING_PLACE_LOCAL: TrainingPlace.LOCAL,
    job_service_pb2.TRAINING_PLACE_SAGEMAKER: TrainingPlace.SAGEMAKER,
}
_KINDS: Mapping[int, ImportFileKind] = {
    model_service_pb2.ImportFileKind.Value(f"IMPORT_FILE_KIND_{kind}"): kind
    for kind in ImportFileKind
}
_MESSAGES: Mapping[str, type[Message]] = {
    RETRAIN: job_service_pb2.RetrainParameters,
    REPRODUCE_MODEL: job_service_pb2.ReproduceModelParameters,
    IMPORT_MODEL: job_service_pb2.ImportModelParameters,
    SCORE: job_service_pb2.ScoreParameters,
    EVALUATE: job_service_pb2.EvaluateParameters,
}

_READ_AS_SENT: Mapping[str, type[ScoreParameters] | type[EvaluateParameters]] = {
    SCORE: ScoreParameters,
    EVALUATE: EvaluateParameters,
}
"""The parameters with the same fields in the contract and in the domain."""


def job_run(value: JobRun) -> job_service_pb2.JobRun:
    """Convert a run."""
    found: dict[str, Any] = dict.fromkeys(_MESSAGES)
    if (asked := value.parameters) is not None:
        place = (
            {"place": f"TRAINING_PLACE_{asked.place}"}
            if isinstance(asked, RetrainParameters)
            else {}
        )
        found[value.job] = message(_MESSAGES[value.job], asked, **place)
    state = f"JOB_RUN_STATE_{value.state}"
    return message(job_service_pb2.JobRun, value, state=state, **found)


def rollout(value: RolloutProgress) -> model_service_pb2.Rollout:
    """Convert a rollout."""
    found = value.rollout
    return message(
        model_service_pb2.Rollout,
        found,
        model_version=found.version,
        state=f"ROLLOUT_STATE_{found.state}",
        reason=value.reason,
        percent=value.percent,
        steps=value.steps,
        figures=value.figures,
    )


def job_parameters(request: job_service_pb2.RunJobRequest) -> JobParameters | None:
    """Convert a run's parameters; None if the request has none.

    Raises:
        InvalidArgument: they are another job's, or have an unknown value.
    """
    name = request.WhichOneof("parameters")
    if name is None:
        return None
    if name != request.job:
        rule = f"are parameters of the job {name!r}; the request is for {request.job[:40]!r}"
        raise InvalidArgument("PARAMETERS_OF_ANOTHER_JOB", name, rule)
    if name == REPRODUCE_MODEL:
        return ReproduceModelParameters(request.reproduce_model.model_version)
    if name in _READ_AS_SENT:
        return value_of(_READ_AS_SENT[name], getattr(request, name))
    asked = request.retrain
    return RetrainParameters(
        network=asked.network or None,
        trials=asked.trials or None,
        budget_seconds=asked.budget_seconds or None,
        seed=asked.seed if asked.HasField("seed") else None,
        place=known_value("retrain.place", _PLACES, asked.place),
    )


def import_message(
    request: model_service_pb2.ImportModelVersionRequest,
) -> NewImport | ImportChunk:
    """Convert a message of an import.

    Raises:
        InvalidArgument: it has no content, or an unknown kind of file.
    """
    content = request.WhichOneof("content")
    if content is None:
        rule = "is a description or a chunk; this message has neither"
        raise InvalidArgument("MISSING_CONTENT", "content", rule)
    if content == "chunk":
        chunk = request.chunk
        kind = known_value("chunk.kind", _KINDS, chunk.kind)
        return ImportChunk(request.task, kind, chunk.data)
    described = request.description
    files = [
        ImportFile(
            known_value(f"description.files[{number}].kind", _KINDS, file.kind),
            file.size_bytes,
            file.sha256,
        )
        for number, file in enumerate(described.files)
    ]
    return NewImport(
        request.task, described.format, files, described.max_length, described.request_id
    )
