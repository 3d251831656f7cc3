"""docs/rest.md: its commands run, and its example answers are what the server sends."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.server.asking_http import PREDICT, http
from tests.integration.server.front import LABELS, Front
from tests.integration.server.guarded import Guarded
from tidemill_core.domain.access import Scope

PAGE = (Path(__file__).parents[3] / "docs" / "rest.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
ANSWERS = [
    json.loads(each) for each in re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
]

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")


def answer(front: Front, command: str, **changes: str) -> Any:
    """Run a command of the page against a front, and return the JSON that it prints."""
    ours = f"http://127.0.0.1:{front.http_port}"
    for old, new in {"http://127.0.0.1:8080": ours, "card_arrival": LABELS[1], **changes}.items():
        command = command.replace(old, new)
    done = subprocess.run(
        ["bash", "-ec", command], capture_output=True, text=True, timeout=30, check=True
    )
    return json.loads(done.stdout)


def test_predictions_and_feedback(front: Front) -> None:
    """The commands in order: two predictions, and feedback on one."""
    by_task, by_body, feedback, _ = COMMANDS
    made = answer(front, by_task)
    assert made.keys() == ANSWERS[0].keys()
    assert len(answer(front, by_body)["scores"]) == min(3, len(LABELS))
    stored = answer(front, feedback, PREDICTION_ID=made["prediction_id"])
    assert (stored["label"], stored["source"]) == (LABELS[1], "agent-7")


def test_a_key_and_a_timeout(guarded: Guarded) -> None:
    """The header with the key is the page's own; the address and TLS are not."""
    ours = f"http://127.0.0.1:{guarded.front.http_port}"
    changes = {"https://mill.example:8080": ours, "--cacert tls/ca.crt ": ""}
    key = guarded.key(Scope.PREDICT)
    assert answer(guarded.front, COMMANDS[3], **changes, **{"$TIDEMILL_API_KEY": key})["label"]


def test_an_error(front: Front) -> None:
    """The problem document of a blank text."""
    with http(front) as client:
        assert client.post(PREDICT, json={"text": ""}).json() == ANSWERS[1]
