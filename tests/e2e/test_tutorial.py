"""docs/tutorial.md, followed step by step in its own workspace."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.plugins.stack import Stack, running
from tests.plugins.waiting import wait_until
from tidemill_cli.main import run
from tidemill_core.storage.storage import Storage

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")
TEXT = "Please send the package to my office"
pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")


def block(language: str) -> str:
    """Return the only block of a language."""
    [found] = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def command(start: str) -> str:
    """Return the only command that starts with some words."""
    [found] = re.findall(rf"^\$ ({re.escape(start)}.*)$", PAGE, re.MULTILINE)
    return str(found)


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """Run the stack after steps 1 and 2."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tickets.csv").write_text(block("csv"))
    assert run(shlex.split(command("tidemill init"))[1:]) == 0
    workspace = tmp_path / command("cd").removeprefix("cd ")
    with (workspace / "tidemill.toml").open("a") as settings:
        settings.write(f"\n{block('toml')}")
    with running(Stack(workspace), 300) as whole:
        yield whole


def test_the_tutorial_leads_from_a_file_to_a_version_that_learned(stack: Stack) -> None:
    """Its corrections start a retraining, whose version answers what the first did not know."""
    asked = command("curl").replace("http://127.0.0.1:8080", stack.http_url)
    done = subprocess.run(["bash", "-ec", asked], capture_output=True, timeout=30, check=True)
    assert json.loads(done.stdout)["model_version"] == 1

    verdicts = re.findall(r"^\| ([^|]+) \| (delivery|refund) \|$", PAGE, re.MULTILINE)
    assert len(verdicts) == 6
    with httpx.Client(base_url=stack.http_url, timeout=30, trust_env=False) as client:
        for text, label in [(TEXT, "delivery"), *verdicts]:
            answer = client.post("/v1/tasks/tickets:predict", json={"text": text}).json()
            verdict = {"prediction_id": answer["prediction_id"], "label": label}
            client.post("/v1/feedback", json=verdict).raise_for_status()

    storage = stack.storage()
    wait_until(lambda: _champion(storage) == 2, "version 2 is champion", 300)
    storage.database.close()
    asked_again = shlex.split(command("tidemill predict"))[1:]
    answer = json.loads(stack.run(*asked_again, "--json").stdout)
    assert (answer["label"], answer["model_version"]) == ("delivery", 2)
    wait_until(lambda: _queued(stack), "texts wait for a label", 120)


def _queued(stack: Stack) -> bool:
    """Return whether texts wait for a label; queue_labels leaves out those of the last minute."""
    stack.run("jobs", "run", "queue_labels")
    return json.loads(stack.run("label", "list", "--json").stdout) != []


def _champion(storage: Storage) -> int:
    deployment = storage.models.deployment("tickets")
    return deployment.champion if deployment else 0
