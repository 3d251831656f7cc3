"""The HTTP port while its processes are killed: REST callers, streams, a watch and a browser."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, sync_playwright

from tests.e2e.test_several_fronts import triton_of
from tests.integration.server.asking_http import PREDICT, TEXT
from tests.integration.server.console.conftest import CHROMIUM
from tests.integration.server.front import Workspace
from tests.integration.server.test_http_streams import LINES, STREAM, lines
from tests.integration.server.workers import Workers, running
from tests.plugins.waiting import wait_until
from tidemill_core.domain.job import Job
from tidemill_core.supervisor import ProcessState, read_processes

LINES_OF_A_STREAM = 20
MAY_BE_LOST_SECONDS = 1.5
"""What a killed process holds in memory, and the batch that a slow database had not stored."""


class Caller(threading.Thread):
    """A caller that asks again and again, and connects again when its connection breaks."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.stopping = threading.Event()
        self.broken = self.rounds = 0
        self.statuses: set[int] = set()
        self.answers: list[tuple[float, float, str]] = []
        """The moment of each question and of its answer, and the id of the prediction."""
        self.verdicts: set[str] = set()

    def run(self) -> None:
        """Ask until it is stopped."""
        with httpx.Client(base_url=self.url, timeout=30, trust_env=False) as client:
            while not self.stopping.is_set():
                try:
                    self.ask(client)
                    self.rounds += 1
                except httpx.TransportError:
                    self.broken += 1
                    time.sleep(0.02)

    def ask(self, client: httpx.Client) -> None:
        """Ask for a prediction, and give a verdict on it."""
        asked = time.monotonic()
        answer = self._post(client, PREDICT, {"text": TEXT})
        self.answers.append((asked, time.monotonic(), answer["prediction_id"]))
        verdict = {"prediction_id": answer["prediction_id"], "correct": True}
        self.verdicts.add(self._post(client, "/v1/feedback", verdict)["feedback_id"])

    def _post(self, client: httpx.Client, path: str, body: dict[str, Any]) -> Any:
        answer = client.post(path, json=body)
        self.statuses.add(answer.status_code)
        return answer.json()


class StreamingCaller(Caller):
    """A caller of `:streamPredict`, which asks again about the lines that it got no answer to."""

    def ask(self, client: httpx.Client) -> None:
        """Send some lines; a stream that ends without an error has all answers."""
        body = lines(*({"id": f"n{n}", "text": TEXT} for n in range(LINES_OF_A_STREAM)))
        asked = time.monotonic()
        with client.stream("POST", STREAM, content=body, headers=LINES) as answer:
            self.statuses.add(answer.status_code)
            found = [json.loads(line) for line in answer.iter_lines()]
        assert [each["id"] for each in found] == [f"n{n}" for n in range(LINES_OF_A_STREAM)]
        now = time.monotonic()
        self.answers += [(asked, now, each["prediction"]["prediction_id"]) for each in found]


class Watcher(Caller):
    """A caller that follows a run by server-sent events; `states` has what it saw."""

    def __init__(self, url: str, run_id: str) -> None:
        super().__init__(url)
        self.path = f"/v1/runs/{run_id}:watch"
        self.states: set[str] = set()

    def ask(self, client: httpx.Client) -> None:
        """Follow the run until its end, or until the connection breaks."""
        with client.stream("GET", self.path) as answer:
            self.statuses.add(answer.status_code)
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    self.states.add(json.loads(line.removeprefix("data: ")).get("state", "end"))
        self.stopping.set()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return a workspace with one version, and a job whose runs never start."""
    found = Workspace(tmp_path, {"support": 1})
    found.storage.jobs.set_catalog([Job("retrain", "Trains.", "")])
    return found


@contextmanager
def calling(callers: list[Caller]) -> Iterator[None]:
    """Let callers ask during the block."""
    for caller in callers:
        caller.start()
    try:
        yield
    finally:
        for caller in callers:
            caller.stopping.set()
        for caller in callers:
            caller.join()


@contextmanager
def supervised(workers: Workers) -> Iterator[None]:
    """Check on the workers during the block, as `tidemill up` does."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.05):
            workers.supervisor.poll()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def opened(url: str) -> Iterator[Page]:
    """Yield a page of the console in Chromium."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(url)
        yield page
        browser.close()


def kill(workers: Workers, *names: str) -> float:
    """Kill workers, wait until the supervisor has replaced them, and return the moment."""
    old = workers.supervisor.pids()
    for name in names:
        os.kill(old[name], signal.SIGKILL)
    moment = time.monotonic()

    def replaced() -> bool:
        new = workers.supervisor.pids()
        states = {each.state for each in read_processes(workers.state_dir)}
        both = len(new) == len(old) and states == {ProcessState.RUNNING}
        return both and not {new[name] for name in names} & set(old.values())

    wait_until(replaced, f"{', '.join(names)} are there again", 60)
    return moment


def until_answered(callers: list[Caller]) -> None:
    """Wait until each caller has had some more answers."""
    before = [caller.rounds for caller in callers]
    wait_until(
        lambda: all(c.rounds > n + 5 for c, n in zip(callers, before, strict=True)),
        "every caller is answered",
        60,
    )


def safe(answers: list[tuple[float, float, str]], kills: list[float]) -> set[str]:
    """Return the ids of the answers that no process held in memory alone when it was killed."""
    return {
        prediction_id
        for asked, answered, prediction_id in answers
        if not any(asked <= killed < answered + MAY_BE_LOST_SECONDS for killed in kills)
    }


def test_a_killed_gateway_costs_connections_and_nothing_that_was_acknowledged(
    workspace: Workspace,
) -> None:
    """Whoever connects again is answered; verdicts are stored, and predictions but the last ones.

    One process is killed, then the other, then both. Callers see broken connections, and no
    answer that is wrong or ends early without an error. The watch and the page follow again.
    """
    with triton_of(workspace) as triton, running(workspace, triton) as workers:
        url = f"http://127.0.0.1:{workers.http_port}"
        run_id = httpx.post(f"{url}/v1/tasks/support/jobs/retrain:run", json={}).json()["run_id"]
        asking, watcher = [Caller(url), Caller(url), StreamingCaller(url)], Watcher(url, run_id)
        with supervised(workers), opened(f"{url}/console/t/support/jobs/{run_id}") as page:
            page.wait_for_selector("#run >> text=queued")
            with calling([*asking, watcher]):
                kills = []
                for names in (["server-1"], ["server-2"], ["server-1", "server-2"]):
                    until_answered(asking)
                    kills.append(kill(workers, *names))
                until_answered(asking)
                workspace.storage.jobs.cancel(run_id, datetime.now(UTC))
                page.wait_for_selector("#run >> text=canceled", timeout=60_000)
                watcher.join(60)
        assert {status for caller in (*asking, watcher) for status in caller.statuses} == {200}
        assert watcher.broken
        assert any(caller.broken for caller in asking)  # one that is between two calls sees nothing
        assert watcher.states == {"JOB_RUN_STATE_QUEUED", "JOB_RUN_STATE_CANCELLED", "end"}
        verdicts = {given for caller in asking for given in caller.verdicts}
        kept = {each.feedback_id for each in workspace.storage.feedback.latest_verdicts("support")}
        assert verdicts - kept == set()
        wanted = safe([answer for caller in asking for answer in caller.answers], kills)
        wait_until(lambda: wanted <= workspace.stored_ids(), "all but the last ones are stored")
