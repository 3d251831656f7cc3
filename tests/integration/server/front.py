"""The front's real process, over a workspace with published models and a real Triton."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.integration.server.models import LABELS, LENGTH, WORDS, TinyModel, tokenizer_json
from tests.plugins.databases import new_sqlite
from tests.plugins.triton import free_ports
from tidemill.v1 import (
    dataset_service_pb2_grpc,
    feedback_service_pb2_grpc,
    job_service_pb2_grpc,
    labeling_service_pb2_grpc,
    model_service_pb2_grpc,
    monitoring_service_pb2_grpc,
    prediction_service_pb2_grpc,
)
from tidemill_core.domain.model import ModelState, model_name
from tidemill_core.model_repository import ModelManifest, ModelRepository, Reference
from tidemill_core.storage.deployments import Change
from tidemill_core.storage.storage import open_storage
from tidemill_core.triton.served import configure

NOW = datetime(2026, 1, 2, tzinfo=UTC)
MAX_TEXT_LENGTH = 500
_READY_SECONDS = 120
"""A front is ready within seconds, except on a busy machine."""

BOTH_TRANSPORTS = pytest.mark.parametrize("transport", ["h2corn", "grpcio"])
"""Runs a test on each transport."""

ABSTAIN_BELOW = defaultdict(float, {2: 2.0})
"""The manifests' thresholds, by version: version 2 is never sure enough."""


class Workspace:
    """A folder with tidemill.toml, a model repository and a database; nothing runs in it yet.

    Args:
        folder: an empty folder.
        versions: how many versions each task has. The first is champion, the others are
            validated; a task with 0 versions has no champion.
        database_url: its database; empty for SQLite in the folder.
    """

    def __init__(self, folder: Path, versions: Mapping[str, int], database_url: str = "") -> None:
        self.folder = folder
        self.spool = folder / "var" / "spool"
        lines = [
            f'[tasks.{t}]\nmax_text_length = {MAX_TEXT_LENGTH}\nsources = [{{ path = "x.csv" }}]'
            for t in versions
        ]
        (folder / "tidemill.toml").write_text("\n".join(lines))
        self.repository = ModelRepository(folder / "model_repository")
        self.database = folder / "var" / "tidemill.db"
        self.storage = open_storage(database_url or new_sqlite(self.database))
        self.environment = {"TIDEMILL_DATABASE_URL": database_url} if database_url else {}
        for task, count in versions.items():
            for _ in range(count):
                self.publish(task)
        served = [self.storage.models.versions_to_serve(task) for task in versions]
        configure(self.repository, [version for group in served for version in group])
        self.models = tuple(model_name(task, "onnx") for task, n in versions.items() if n)

    def publish(self, task: str, state: ModelState = ModelState.VALIDATED) -> None:
        """Publish a task's next version, in a state; the first becomes champion."""
        models = self.storage.models
        version = models.add_candidate(task, "onnx", "d" * 64, NOW).version
        manifest = ModelManifest(
            task=task,
            version=version,
            model_format="onnx",
            labels=LABELS,
            sequence_length=LENGTH,
            vocabulary_size=len(WORDS) + 2,
            temperature=1.0,
            measures={},
            reference=Reference((1,) * len(LABELS), (1,)),
            dataset_version="d" * 64,
            run_id="",
            create_time=NOW.isoformat(),
            abstain_below=ABSTAIN_BELOW[version],
        )
        self.repository.publish(manifest, TinyModel(version).onnx(), tokenizer_json())
        models.judge(task, version, state, {"accuracy": 0.9}, "passed", NOW)
        if version == 1:
            models.promote(task, version, Change("test", "first", "", NOW))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the database's write lock, like a stuck process."""
        connection = sqlite3.connect(self.database, isolation_level=None, timeout=30)
        connection.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")
            connection.close()

    def stored(self) -> list[tuple[Any, ...]]:
        """Return id, method, version, propensity and request id of all predictions."""
        columns = "prediction_id, method, model_version, propensity, request_id"
        with contextlib.closing(sqlite3.connect(self.database, timeout=30)) as connection:
            return connection.execute(f"SELECT {columns} FROM predictions").fetchall()  # noqa: S608 -- our own names

    def stored_ids(self) -> set[str]:
        """Return the ids of all predictions in the database."""
        return {row[0] for row in self.stored()}


class Front:
    """A front process; a context manager that starts and ends it."""

    def __init__(
        self,
        workspace: Workspace,
        triton_address: str,
        port: int = 0,
        environment: Mapping[str, str] | None = None,
        transport: str = "h2corn",
    ) -> None:
        free, self.http_port, self.metrics_port = free_ports(3)
        self.port = port or free
        self.address = f"127.0.0.1:{self.port}"
        self.output = workspace.folder / f"front-{self.port}.log"
        self._folder = workspace.folder
        self._environment = {
            **os.environ,
            "TIDEMILL_GRPC_PORT": str(self.port),
            "TIDEMILL_HTTP_PORT": str(self.http_port),
            "TIDEMILL_METRICS_PORT": str(self.metrics_port),
            **workspace.environment,
            "TIDEMILL_TRITON__URL": triton_address,
            "TIDEMILL_SERVER__REFLECTION": "true",
            "TIDEMILL_SERVER__TRANSPORT": transport,
            # High enough that a busy machine refuses no call of a test.
            "TIDEMILL_SERVER__MAX_QUEUE_DELAY_MS": "5000",
            **(environment or {}),
        }
        self.process: subprocess.Popen[bytes]
        self.channel: grpc.Channel

    def __enter__(self) -> "Front":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def launch(self) -> None:
        """Start the process without waiting."""
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tidemill_server.main"],
                cwd=self._folder,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def start(self) -> None:
        """Start the process and wait until it answers; end it if it does not."""
        self.launch()
        try:
            self.connect()
        except BaseException:
            self.__exit__()
            raise

    def connect(self) -> None:
        """Open a new channel and wait until the process answers on it."""
        options = [
            ("grpc.max_send_message_length", -1),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 200),
        ]
        self.channel = grpc.insecure_channel(self.address, options)
        try:
            grpc.channel_ready_future(self.channel).result(timeout=_READY_SECONDS)
        except grpc.FutureTimeoutError:
            raise AssertionError(self.log()) from None
        self.predictions = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.feedback = feedback_service_pb2_grpc.FeedbackServiceStub(self.channel)
        self.labeling = labeling_service_pb2_grpc.LabelingServiceStub(self.channel)
        self.datasets = dataset_service_pb2_grpc.DatasetServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)
        self.monitoring = monitoring_service_pb2_grpc.MonitoringServiceStub(self.channel)
        self.jobs = job_service_pb2_grpc.JobServiceStub(self.channel)

    def stop(self, seconds: float = 60.0) -> int:
        """Send SIGTERM, and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def log(self) -> str:
        """Return the process's log."""
        return self.output.read_text() if self.output.exists() else ""
