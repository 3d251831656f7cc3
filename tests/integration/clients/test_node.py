"""The Node client: its generated code, and its own tests against the real front."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.server.front import BOTH_TRANSPORTS, Front

PACKAGE = Path(__file__).parents[3] / "clients" / "node"
LOCK = PACKAGE / "package-lock.json"
MODULES = PACKAGE / "node_modules"


def missing() -> str:
    """Return why these tests cannot run here; empty if they can."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "node and npm are not installed; the Node client needs Node 20 or newer"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    if int(version.stdout.removeprefix("v").partition(".")[0]) < 20:
        return f"node is {version.stdout.strip()}; the Node client needs Node 20 or newer"
    return ""


# In CI a missing Node is a failure, since no one would notice a skip.
pytestmark = pytest.mark.skipif(bool(missing()) and "CI" not in os.environ, reason=missing())


def run(*command: str, **environment: str) -> str:
    """Run a command in the package's folder that must succeed, and return its output."""
    done = subprocess.run(
        command,
        cwd=PACKAGE,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    """Install the packages of package-lock.json, again if it has changed."""
    wanted, marker = hashlib.sha256(LOCK.read_bytes()).hexdigest(), MODULES / ".installed"
    if not marker.exists() or marker.read_text() != wanted:
        run("npm", "ci", "--ignore-scripts")
        marker.write_text(wanted)


def test_generated_code_is_up_to_date() -> None:
    """`src/gen` matches the contract; if not, run `clients/node/generate.py`."""
    run(sys.executable, "generate.py", "--check")


def test_no_package_names_the_host_it_came_from() -> None:
    """The lock file works with any registry that npm is set to."""
    assert '"resolved"' not in LOCK.read_text()


@pytest.fixture(scope="module")
def _compiled(_installed: None) -> None:
    """Compile the client and its tests, which must succeed under strict."""
    shutil.rmtree(PACKAGE / "dist", ignore_errors=True)
    run("node_modules/.bin/tsc")


@pytest.mark.usefixtures("_compiled")
def test_the_client_works_against_scripted_servers() -> None:
    """Its own tests of retries, deadlines and errors pass."""
    said = run("node", "--test", "--test-reporter=tap", "dist/test/client.test.js")
    assert "\n# fail 0" in said


@pytest.mark.usefixtures("_compiled")
def test_the_package_has_all_files_that_it_names() -> None:
    """`npm pack` lists the page for readers, and what programs import."""
    said = run("npm", "pack", "--dry-run", "--ignore-scripts")
    for file in (
        "README.md",
        "dist/src/index.js",
        "dist/src/gen/tidemill/v1/prediction_service.js",
    ):
        assert re.search(rf"\s{re.escape(file)}$", said, re.MULTILINE), said


@pytest.mark.usefixtures("_compiled")
@BOTH_TRANSPORTS
def test_the_client_works_against_the_real_front(front: Front) -> None:
    """Its own tests pass: unary, batch, stream, verdict, errors."""
    said = run(
        *("node", "--test", "--test-reporter=tap", "dist/test/front.test.js"),
        TIDEMILL_TEST_ADDRESS=front.address,
    )
    assert "# SKIP" not in said
    assert "\n# fail 0" in said
