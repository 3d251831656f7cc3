"""The client and the command line in an installation without extras."""

import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[3]
OURS = ["proto/gen", "core", "server", "jobs", "clients/python", "clients/cli"]
SCRIPT = """
import sys
sys.path[:0] = sys.argv.pop(1).split(":")
from tidemill_cli.main import COMMANDS, run
commands = [sys.argv[1:]] if sys.argv[1:] else [[name, "--help"] for name in COMMANDS]
sys.exit(max(run(command) for command in commands))
"""


def required(name: str, found: set[str]) -> set[str]:
    """Add a distribution and those that it requires, without extras."""
    if name not in found:
        found.add(name)
        for line in distribution(name).requires or []:
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                required(needed.name, found)
    return found


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a path for imports: Tidemill, and the packages of its installation without extras."""
    folder = tmp_path_factory.mktemp("packages")
    for name in required("tidemill", set()):
        files = distribution(name).files or []
        for top in {file.parts[0] for file in files if file.parts[0] != ".."}:
            link, place = folder / top, Path(str(distribution(name).locate_file(top)))
            if not link.exists() and place.exists():
                link.symlink_to(place)
    return ":".join([str(folder), *(str(ROOT / each) for each in OURS)])


def tidemill(packages: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command, or the help of every command, with these packages alone."""
    command = [sys.executable, "-S", "-c", SCRIPT, packages, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_no_command_ends_in_a_traceback(packages: str) -> None:
    """The help of each command is shown, or says which extras the command needs."""
    done = tidemill(packages)
    assert "Traceback" not in done.stderr
    assert done.stdout.count("Usage: tidemill ") >= 20
    for line in done.stderr.splitlines():
        assert "this command needs more than the client" in line
        assert "pip install -c constraints.txt '.[server,jobs]'" in line


def test_a_command_that_asks_a_server_needs_no_extra(packages: str) -> None:
    """`datasets list` says that no server answers, not that a package is missing."""
    done = tidemill(packages, "datasets", "list", "--address", "127.0.0.1:1")
    assert (done.returncode, "127.0.0.1:1" in done.stderr) == (3, True)
