"""The commands of docs/rest.md, and those of the page /docs, which are examples of OpenAPI."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.contract.storage.values import label_request
from tests.integration.server.asking_http import http
from tests.integration.server.dataset_files import write_dataset_files
from tests.integration.server.front import LABELS, NOW, Front, Workspace
from tests.integration.server.test_catalogues import dataset
from tests.plugins.triton import RunningTriton
from tests.plugins.waiting import wait_until
from tidemill_core.domain.alert import Severity
from tidemill_core.domain.job import Job
from tidemill_core.domain.model import ModelState
from tidemill_core.domain.report import Report, ReportVerdict
from tidemill_core.storage.rollouts import request_rollout
from tidemill_server.gateway.page import curl_of
from tidemill_server.gateway.routes import ROUTES

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
TASK = "mixed"
VERSIONS = {
    "PromoteModelVersion": "2",
    "ApproveModelVersion": "3",
    "RejectModelVersion": "4",
    "GetModelVersion": "1",
    "GetRollout": "1",
    "WatchRollout": "1",
}
"""The model versions that fit the examples."""


@pytest.fixture
def front(tmp_path: Path, triton: RunningTriton) -> Iterator[Front]:
    """Yield a front with its own database, which has one of everything."""
    workspace = Workspace(tmp_path, {TASK: 2})
    for _ in range(2):
        workspace.publish(TASK, ModelState.AWAITING_APPROVAL)
    storage = workspace.storage
    storage.jobs.set_catalog([Job("retrain", "Trains.", "")])
    for number in (1, 2):
        version = dataset(number, card=number)
        folder = tmp_path / "var" / "datasets" / version.task / version.dataset_version
        write_dataset_files(folder, [("My card has not arrived", "card")], [])
        storage.datasets.add(replace(version, uri=str(folder)))
    report = Report("r" * 32, TASK, "drift", 1, ReportVerdict.ALERT, "It drifts.", {}, "", NOW)
    storage.alerts.raise_alert(report, Severity.WARNING, "Look.", [], timedelta(0))
    now = datetime.now(UTC)
    storage.label_items.add([label_request("where is it", task=TASK, text_time=now)], 1, now)
    with storage.database.write() as connection:
        request_rollout(connection, TASK, 1, now)
    storage.rollouts.current(TASK, now)  # ends it, because version 1 is champion already
    with Front(workspace, triton.grpc_address) as running:
        yield running


@pytest.fixture
def values(front: Front) -> dict[str, str]:
    """Return what stands in the front for each made-up value of the commands."""
    with http(front) as client:
        alert = client.get("/v1/alerts").json()["alerts"][0]
        item = client.get("/v1/label-items").json()["label_items"][0]
    return {
        "http://127.0.0.1:8080": f"http://127.0.0.1:{front.http_port}",
        "BASE_DATASET_VERSION": "01" * 32,
        "BASE_VERSION": "01" * 32,
        "DATASET_VERSION": "02" * 32,
        "REPORT_ID": alert["report_id"],
        "ALERT_ID": alert["alert_id"],
        "LABEL_ITEM_ID": item["label_item_id"],
        "JOB:run": "retrain:run",
        "END_TIME": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
        "card_arrival": LABELS[1],
    }


def test_every_example_works(front: Front, values: dict[str, str]) -> None:
    """Each command is answered with 200, in the order of the page."""
    with http(front) as client:
        document = client.get("/openapi.json").json()
    for route in ROUTES:
        operation = document["paths"][route.path][route.verb.lower()]
        command = curl_of("http://127.0.0.1:8080", route.path, route.verb.lower(), operation)
        version = VERSIONS.get(operation["operationId"], "")
        run(command.replace("MODEL_VERSION", version), values)


def test_every_command_of_the_docs_works(values: dict[str, str]) -> None:
    """Each is answered with 200 in the order of the page, and the first as the page shows it."""
    page = (Path(__file__).parents[3] / "docs" / "rest.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    commands = [
        command
        for block in blocks
        for command in re.split(r"\n(?=curl|printf)", block.strip())
        if "https://" not in command  # the one with a key: see test_rest_docs.py
    ]
    assert len(commands) > 30
    answers = [run(each.replace("support", TASK), values) for each in commands]
    shown = re.search(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert shown
    assert answers[0].keys() == json.loads(shown[1]).keys()


def run(command: str, values: dict[str, str]) -> dict[str, Any]:
    """Run a command with the right values; remember the ids that are in its answer."""
    for name, value in values.items():
        command = command.replace(name, value)
    answer = answered(command)
    inside = [each for each in answer.values() if isinstance(each, dict)]
    for fields in (answer, *inside):
        for field in ("prediction_id", "silence_id", "run_id", "key_id"):
            if field in fields:
                values[field.upper()] = fields[field]
    return answer


def answered(command: str) -> dict[str, Any]:
    """Run a command until it is answered with 200, and return the JSON of its first line."""
    found: list[str] = []

    def is_ok() -> bool:
        done = subprocess.run(
            ["bash", "-ec", f"{command} -w '\n%{{http_code}}'"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        found[:] = done.stdout.splitlines()
        # A prediction is stored a moment after it is answered.
        return found[-1] != "404"

    wait_until(is_ok, command)
    assert found[-1] == "200", (command, found)
    answer: dict[str, Any] = json.loads(found[0].removeprefix("data: "))
    return answer
