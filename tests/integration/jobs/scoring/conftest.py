"""A task with two tiny versions in a real Triton, and the context of a run."""

from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.integration.server.front import MAX_TEXT_LENGTH, Workspace
from tests.plugins.job_runs import run_of
from tests.plugins.triton import RunningTriton
from tidemill_core.domain.job_parameters import EvaluateParameters, ScoreParameters
from tidemill_core.settings import FilesSource, Settings, TaskSettings
from tidemill_jobs.context import JobContext, Result
from tidemill_jobs.evaluation import evaluate
from tidemill_jobs.scoring import score


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The task `support` with a champion and a validated version."""
    return Workspace(tmp_path_factory.mktemp("scoring"), {"support": 2})


@pytest.fixture(scope="session")
def triton(
    workspace: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningTriton]:
    """A Triton that serves both versions."""
    state = tmp_path_factory.mktemp("triton")
    with RunningTriton(workspace.repository.root, state, workspace.models) as running:
        yield running


@dataclass(frozen=True)
class Bench:
    """A folder of files, and the job over them."""

    folder: Path
    context: JobContext

    def score(self, source: str, output: str, **options: Any) -> Result:
        """Score a file of the folder, or another place."""
        asked = ScoreParameters(self._place(source), self._place(output), **options)
        return score.run(replace(self.context, parameters=asked))

    def evaluate(self, source: str, **options: Any) -> Result:
        """Evaluate on a file of the folder, or on another place."""
        asked = EvaluateParameters(self._place(source), **options)
        return evaluate.run(replace(self.context, parameters=asked))

    def _place(self, name: str) -> str:
        return name if ":" in name else str(self.folder / name)


@pytest.fixture
def bench(tmp_path: Path, workspace: Workspace, triton: RunningTriton) -> Iterator[Bench]:
    """An empty folder, and a state directory of its own."""
    task = TaskSettings(
        sources=[FilesSource(path=tmp_path / "x.csv")], max_text_length=MAX_TEXT_LENGTH
    )
    with chdir(tmp_path):
        settings = Settings(
            tasks={"support": task},
            state_dir=tmp_path / "var",
            model_repository=workspace.repository.root,
        )
    with triton.control() as control:
        yield Bench(
            tmp_path,
            run_of(settings, workspace.storage, control),
        )


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the URL of a bucket in S3."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    boto3.client("s3").create_bucket(Bucket="tickets")
    yield "s3://tickets"
    server.stop()
