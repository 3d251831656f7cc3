"""Schemathesis over every route of the OpenAPI document.

For longer: SCHEMATHESIS_HOOKS=tests.plugins.http_fuzzing schemathesis run
http://127.0.0.1:8080/openapi.json --exclude-checks positive_data_acceptance -n 1000
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.server.front import Front, Workspace
from tests.plugins.triton import RunningTriton

# A request may have the right form and still break a rule, such as that a task must exist.
CHECKS = ["--exclude-checks", "positive_data_acceptance"]
REPEATABLE = ["--generation-deterministic", "--max-examples", "3", "--no-shrink"]


@pytest.fixture
def front(tmp_path: Path, triton: RunningTriton) -> Iterator[Front]:
    """Yield a front with its own database, because routes change traffic."""
    with Front(Workspace(tmp_path, {"mixed": 2}), triton.grpc_address) as running:
        yield running


def test_no_request_is_answered_outside_the_schema(front: Front, tmp_path: Path) -> None:
    """None gets a 5xx, the front accepts nothing that the document forbids, and logs no error."""
    phases = ["--phases", "examples,coverage,fuzzing", "--continue-on-failure", "--no-color"]
    url = f"http://127.0.0.1:{front.http_port}/openapi.json"
    program = str(Path(sys.executable).with_name("schemathesis"))
    ours = {
        "SCHEMATHESIS_HOOKS": "tests.plugins.http_fuzzing",
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "NO_PROXY": "127.0.0.1",
    }
    done = subprocess.run(
        [program, "run", url, *CHECKS, *REPEATABLE, *phases],
        env=os.environ | ours,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "unexpected_error" not in front.log()
    assert "Traceback" not in front.log()
