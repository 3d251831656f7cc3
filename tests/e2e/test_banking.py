"""The loop on real data: BANKING77, and feedback on a tenth of it in both formats.

All tests use one stack; its three tasks train at once.
"""

import random
from collections.abc import Iterator

import grpc
import polars as pl
import pytest
import tritonclient.grpc as triton
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.e2e.conftest import Rows, write_rows
from tests.plugins.stack import Stack, running, write_workspace
from tests.plugins.waiting import wait_until
from tidemill.v1 import (
    feedback_service_pb2,
    job_service_pb2,
    model_service_pb2,
    prediction_service_pb2,
    prediction_service_pb2_grpc,
)
from tidemill_client import TidemillClient
from tidemill_core.domain.split import Split, content_hash, split_of
from tidemill_core.model_repository import ModelRepository

CORRECTIONS = 1000
# A dataset is built and a model trained.
PATIENCE_SECONDS = 300
MIN_ACCURACY = 0.90
TASKS = ("support", "tenth", "shuffled")


@pytest.fixture(scope="module")
def banking(tmp_path_factory: pytest.TempPathFactory, train_rows: Rows) -> Iterator[Stack]:
    """Run a stack with all of BANKING77, and with a tenth of it in both formats."""
    folder = tmp_path_factory.mktemp("banking")
    whole = write_rows(folder / "train.csv", train_rows)
    tenth = write_rows(folder / "tenth.csv", train_rows[:1000])
    tasks = {"support": whole, "tenth": tenth}
    write_workspace(folder, tasks, extra="[server]\nreflection = true")
    with (folder / "tidemill.toml").open("a") as file:
        file.write(
            f'[tasks.shuffled]\nformat = "torchscript"\nsources = [{{ path = "{tenth}" }}]\n'
        )
    with running(Stack(folder), seconds=400) as stack:
        yield stack


def labels(client: TidemillClient, task: str, texts: list[str]) -> list[str]:
    """Return the labels of a task's champion, in the largest batches."""
    found: list[str] = []
    for start in range(0, len(texts), 1024):
        for answer in client.predict_batch(task, texts[start : start + 1024]):
            assert not isinstance(answer, Exception), answer
            found.append(answer.label)
    return found


@pytest.fixture(scope="module")
def client(banking: Stack) -> Iterator[TidemillClient]:
    """Yield a connection to the stack."""
    with banking.client() as connection:
        yield connection


def test_the_model_is_accurate(client: TidemillClient, test_rows: Rows) -> None:
    """All of BANKING77 gives an accuracy of 0.90 on the official test split."""
    assert accuracy(client, "support", test_rows) >= MIN_ACCURACY


def test_both_formats_agree(client: TidemillClient, test_rows: Rows) -> None:
    """ONNX and TorchScript, trained on the same rows, give each text the same label."""
    texts = [text for text, _ in test_rows]
    assert labels(client, "tenth", texts) == labels(client, "shuffled", texts)


def test_no_test_row_entered_a_dataset(banking: Stack, test_rows: Rows) -> None:
    """No dataset of the stack has a text of the test split, except for whitespace and case."""
    hashes = {content_hash(text) for text, _ in test_rows}
    files = list((banking.workspace / "var" / "datasets").rglob("examples.parquet"))
    assert len(files) >= 2
    for file in files:
        assert not hashes & set(pl.read_parquet(file)["text_hash"])


def test_generated_stub_of_plain_grpcio_works(banking: Stack) -> None:
    """A caller needs nothing but grpcio and the generated code."""
    with grpc.insecure_channel(banking.address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        request = prediction_service_pb2.PredictRequest(task="support", text="I lost my card")
        answer = stub.Predict(request, timeout=10).prediction
    assert answer.label == "lost_or_stolen_card"


def test_tritonclient_works_on_tritons_own_port(banking: Stack, client: TidemillClient) -> None:
    """The model repository is a plain Triton's: its own client gets the same label."""
    expected = client.predict("support", "where is my card", model_version=1)
    repository = ModelRepository(banking.settings().model_repository)
    manifest = repository.manifest("support", "onnx", 1)
    ids = repository.encoder("support", "onnx", 1).encode(["where is my card"])
    with triton.InferenceServerClient(banking.triton_address) as server:
        tensor = triton.InferInput("input_ids", list(ids.shape), "INT32")
        tensor.set_data_from_numpy(ids)
        result = server.infer("support-onnx", [tensor], model_version="1")
    probabilities = result.as_numpy("probabilities__0")
    assert manifest.labels[int(probabilities.argmax())] == expected.label


def test_reflection_describes_every_service(banking: Stack) -> None:
    """A client without the contract finds the services and their messages."""
    with grpc.insecure_channel(banking.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        requests = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(
                file_containing_symbol="tidemill.v1.PredictionService"
            ),
        ]
        listed, described = stub.ServerReflectionInfo(iter(requests), timeout=10)
    names = {service.name for service in listed.list_services_response.service}
    assert {"tidemill.v1.PredictionService", "grpc.health.v1.Health"} <= names
    assert len([name for name in names if name.startswith("tidemill.v1.")]) == 8
    file = FileDescriptorProto.FromString(
        described.file_descriptor_response.file_descriptor_proto[0]
    )
    assert file.package == "tidemill.v1"


def correct(client: TidemillClient, task: str, rows: Rows) -> None:
    """Predict each text, send its right label through StreamFeedback, and run check_feedback."""
    texts = [text for text, _ in rows]
    answers = client.predict_batch(task, texts)
    requests = [
        feedback_service_pb2.StreamFeedbackRequest(
            prediction_id=answer.prediction_id, label=label, source="test"
        )
        for answer, (_, label) in zip(answers, rows, strict=True)
        if not isinstance(answer, Exception)
    ]
    response = client.feedback.StreamFeedback(iter(requests), timeout=60)
    assert response.accepted_count == len(rows), response.rejections[:3]
    request = job_service_pb2.RunJobRequest(job="check_feedback", task=task)
    client.jobs.RunJob(request, timeout=10)  # or wait up to a minute for the next one


def judged(client: TidemillClient, task: str, version: int) -> model_service_pb2.ModelVersion:
    """Wait until a version has been judged, and promoted if it passed."""
    passing = (
        model_service_pb2.MODEL_STATE_CANDIDATE,
        model_service_pb2.MODEL_STATE_VALIDATED,
    )
    request = model_service_pb2.ListModelVersionsRequest(task=task)

    def found() -> list[model_service_pb2.ModelVersion]:
        listed = client.models.ListModelVersions(request, timeout=10).model_versions
        return [
            each for each in listed if each.model_version == version and each.state not in passing
        ]

    wait_until(found, f"version {version} of {task} is judged", PATIENCE_SECONDS)
    return found()[0]


def wait_for(client: TidemillClient, task: str, version: int) -> None:
    """Wait until the front uses a version as champion."""
    wait_until(
        lambda: client.predict(task, "where is my card").model_version == version,
        f"version {version} answers",
        10,
    )


def accuracy(client: TidemillClient, task: str, rows: Rows) -> float:
    """Return the share of right labels on some rows."""
    answers = labels(client, task, [text for text, _ in rows])
    return sum(a == label for a, (_, label) in zip(answers, rows, strict=True)) / len(rows)


def test_true_corrections_help_and_shuffled_ones_are_rejected(
    banking: Stack, train_rows: Rows, test_rows: Rows
) -> None:
    """True corrections lead to a better champion, and shuffled ones to a REJECTED version."""
    unseen = train_rows[1000:]
    training = [row for row in unseen if split_of(content_hash(row[0])) is Split.TRAIN]
    corrections = training[:CORRECTIONS]
    shuffled = [label for _, label in corrections]
    random.Random(1).shuffle(shuffled)
    wrong = [(text, label) for (text, _), label in zip(corrections, shuffled, strict=True)]
    with banking.client() as client:
        before = accuracy(client, "tenth", test_rows)
        correct(client, "tenth", corrections)
        correct(client, "shuffled", wrong)
        better, worse = judged(client, "tenth", 2), judged(client, "shuffled", 2)
        assert better.state == model_service_pb2.MODEL_STATE_CHAMPION, better.reason
        wait_for(client, "tenth", 2)
        # Two standard errors of a difference of two shares on 3,080 rows are 0.025 at most.
        assert accuracy(client, "tenth", test_rows) > before + 0.03
        assert worse.state == model_service_pb2.MODEL_STATE_REJECTED, worse.reason
        assert "accuracy" in worse.reason
        answer = client.predict("shuffled", "I lost my card")
        assert answer.model_version == 1


def test_the_second_start_is_quick_and_trains_nothing(banking: Stack) -> None:
    """After Ctrl-C the stack is soon ready again, with the same versions.

    Other tests run at the same time, so `.ci/try-run` checks the limit of 20 s.
    """
    with banking.client() as client:
        before = [version_numbers(client, task) for task in TASKS]
    assert banking.stop() == 0
    banking.start()
    banking.wait_ready(40)
    with banking.client() as client:
        assert [version_numbers(client, task) for task in TASKS] == before


def version_numbers(client: TidemillClient, task: str) -> list[int]:
    """Return the numbers of all versions of a task."""
    request = model_service_pb2.ListModelVersionsRequest(task=task)
    listed = client.models.ListModelVersions(request, timeout=10).model_versions
    return [version.model_version for version in listed]
