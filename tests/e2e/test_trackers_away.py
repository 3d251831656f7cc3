"""Trackers that are away, and get what waited when they are back."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest

from tests.integration.jobs.conftest import run_in
from tests.integration.jobs.training.test_trackers import (
    arrived,
    links,
    promote,
    record,
    tracked_by,
)
from tests.plugins.mlflow_store import mlflow_client, new_mlflow_store
from tests.plugins.waiting import wait_until
from tests.plugins.wandb_server import wandb_server
from tidemill_jobs.context import JobContext
from tidemill_jobs.release import tracking
from tidemill_jobs.release.tracking import send_runs


@pytest.fixture
def context(tmp_path: Path) -> Iterator[JobContext]:
    """The context of a run, with an empty MLflow store."""
    new_mlflow_store(tmp_path / "var" / "mlflow.db")
    with run_in(tmp_path, tmp_path / "train.csv") as run:
        yield run


@contextmanager
def silent_port() -> Iterator[int]:
    """Open a port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def closed_port() -> Iterator[int]:
    """Return a port that nothing listens on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextmanager
def failing_port() -> Iterator[int]:
    """Open a port whose every answer is 500."""

    class Failing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(500)

        do_POST = do_GET  # noqa: N815 -- http.server names it

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Failing) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_trackers_that_are_away_get_the_run_later(
    context: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job goes on within a bound, and the next one sends the run to both trackers."""
    untracked = context
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "2")  # instead of 20 seconds
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")  # instead of 10 seconds, twice
    record(tracked_by(untracked, "mlflow", "wandb"))
    for away in (closed_port, silent_port, failing_port):
        with away() as port:
            url = f"http://127.0.0.1:{port}"
            monkeypatch.setenv("WANDB_BASE_URL", url)
            context = tracked_by(untracked, "mlflow", "wandb", uri=url)
            start = time.monotonic()
            assert send_runs(context) == {"mlflow": 1, "wandb": 1}, away
            assert time.monotonic() - start < 90
        assert links(context) == {}
    with wandb_server() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        context = tracked_by(untracked, "mlflow", "wandb")
        assert tracking.run(context) == {"waiting": {"mlflow": 0, "wandb": 0}}
        assert arrived(server) == [(1, 2.0), (2, 1.0)]
        assert links(context)["wandb"] == f"{server.url}/ann/tidemill/runs/run1"
    assert set(links(context)) == {"mlflow", "wandb"}


def test_a_server_that_comes_back_gets_the_run(context: JobContext, tmp_path: Path) -> None:
    """MLflow's server gets what waited; the link is the run's page, without the password."""
    with closed_port() as port:
        pass
    url = f"127.0.0.1:{port}"
    context = tracked_by(context, "mlflow", uri=f"http://ann:secret@{url}/")
    record(context)
    promote(context, 1)
    assert send_runs(context) == {"mlflow": 1}
    with mlflow_server(port, tmp_path):
        assert send_runs(context) == {"mlflow": 0}
        client = mlflow_client(context.settings.effective_mlflow_tracking_uri)
        registered = client.get_model_version_by_alias("support", "champion")
        experiment = client.get_experiment_by_name("support").experiment_id
        page = f"http://{url}/#/experiments/{experiment}/runs/{registered.run_id}"
        assert links(context) == {"mlflow": page}
        assert {each.path for each in client.list_artifacts(registered.run_id)} == {
            "plot.png",
            "model",
        }


@contextmanager
def mlflow_server(port: int, folder: Path) -> Iterator[None]:
    """Run MLflow's own server."""
    new_mlflow_store(folder / "server.db")
    store, artifacts = f"sqlite:///{folder}/server.db", str(folder / "artifacts")
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store]
    command += ["--artifacts-destination", artifacts, "--port", str(port), "--workers", "1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, start_new_session=True, cwd=folder, **quiet)
    try:
        wait_until(lambda: answers(port), "MLflow's server answers", 120)
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(port: int) -> bool:
    """Return whether a server answers."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health").is_success
    except httpx.TransportError:
        return False
