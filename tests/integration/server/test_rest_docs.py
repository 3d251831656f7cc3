"""The parts of docs/rest.md about keys and errors; test_rest_examples.py runs the others."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.server.asking_http import PREDICT, http
from tests.integration.server.front import Front
from tests.integration.server.guarded import Guarded
from tidemill_core.domain.access import Scope

PAGE = (Path(__file__).parents[3] / "docs" / "rest.md").read_text(encoding="utf-8")
JSON_BLOCKS = re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_a_key_and_a_timeout(guarded: Guarded) -> None:
    """The header with the key is the page's own; the address and TLS are not."""
    (command,) = re.findall(r"^curl[^`]*https://[^`]*(?=^```)", PAGE, re.MULTILINE)
    for old, new in {
        "https://mill.example:8080": f"http://127.0.0.1:{guarded.front.http_port}",
        "--cacert tls/ca.crt ": "",
        "$TIDEMILL_API_KEY": guarded.key(Scope.PREDICT),
    }.items():
        command = command.replace(old, new)
    done = subprocess.run(
        ["bash", "-ec", command], capture_output=True, text=True, timeout=30, check=True
    )
    assert json.loads(done.stdout)["label"]


def test_an_error(front: Front) -> None:
    """The problem document of a blank text."""
    with http(front) as client:
        assert client.post(PREDICT, json={"text": ""}).json() == json.loads(JSON_BLOCKS[1])
