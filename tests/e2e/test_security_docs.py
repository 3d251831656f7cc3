"""docs/security.md, followed step by step in its own workspace."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import write_rows
from tests.plugins.stack import Stack, running, write_workspace
from tests.plugins.waiting import wait_until
from tidemill_client import TidemillClient, TidemillError, Tls, Unavailable
from tidemill_core.supervisor import ProcessState, read_processes

PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
TASK = "support"  # the page's own
ROWS = [(f"text number {n} is {word}", word) for n in range(30) for word in ("red", "blue")]


def blocks(title: str, language: str) -> list[str]:
    """Return the blocks of code under a title of the page."""
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


def shell(stack: Stack, commands: str, **variables: str) -> str:
    """Run commands in the workspace as a user does, and return their output."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-ec", commands],
        cwd=stack.workspace,
        env={**stack.env, "PATH": path, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Run a stack of two workers after the steps before `tidemill up`."""
    above, tls = blocks("1. A certificate", "toml")
    (workers,) = blocks("3. Two workers", "toml")
    source = write_rows(tmp_path / "rows.csv", ROWS)
    settings = write_workspace(tmp_path, {TASK: source}, extra=above) / "tidemill.toml"
    settings.write_text(f"{settings.read_text()}\n{tls}\n{workers}")
    whole = Stack(tmp_path)
    (certificate,) = blocks("1. A certificate", "sh")
    shell(whole, certificate)
    with running(whole):
        yield whole


def reason(stack: Stack, key: str | None) -> str:
    """Return why a call over TLS fails; empty if it is answered."""
    tls = Tls(root_certificates=stack.workspace / "tls" / "ca.crt")
    with TidemillClient(stack.address, api_key=key, tls=tls, timeout=10) as client:
        try:
            return "" if client.predict(TASK, "it is red").label == "red" else "another label"
        except TidemillError as error:
            return error.reason


def test_the_page_leads_to_tls_a_key_and_two_workers(stack: Stack) -> None:
    """The page's commands create a key, with which its program predicts over TLS; others fail."""
    processes = read_processes(stack.settings().state_dir)
    workers = [one.state for one in processes if one.name.startswith("server-")]
    assert workers == [ProcessState.RUNNING] * 2
    (commands,), (program,) = blocks("2. A key", "sh"), blocks("2. A key", "python")
    create, show, revoke = commands.splitlines()
    made = re.search(r"tm_([0-9a-f]+)_[\w-]+", shell(stack, create))
    assert made is not None
    key, key_id = made.group(), made.group(1)
    assert key_id in shell(stack, show)
    wait_until(lambda: reason(stack, key) == "", "the key is taken", 5)
    port = stack.address.rpartition(":")[2]
    (stack.workspace / "program.py").write_text(program.replace("50051", port))
    assert "prediction_id" in shell(stack, "python program.py", TIDEMILL_API_KEY=key)
    assert reason(stack, None) == "MISSING_CREDENTIAL"
    refused = stack.run("predict", TASK, "it is red", check=False)
    assert (refused.returncode, "set TIDEMILL_API_KEY" in refused.stderr) == (2, True)
    with TidemillClient(stack.address) as in_clear, pytest.raises(Unavailable):
        in_clear.predict(TASK, "it is red", timeout=10)
    shell(stack, f"{revoke.rpartition(' ')[0]} {key_id}")
    wait_until(lambda: reason(stack, key) == "INVALID_API_KEY", "the key is refused", 5)


def test_the_example_of_up_works_under_tls_and_keys(stack: Stack) -> None:
    """The commands that `tidemill up` prints run unchanged, with the key filled in."""
    printed = stack.output.read_text()
    commands, _, program = printed.partition("in this folder:\n")[2].partition("or in Python:\n")
    create, export, *others = [line.strip() for line in commands.strip().splitlines()]
    made = re.search(r"tm_[0-9a-f]+_[\w-]+", shell(stack, create))
    assert made is not None
    assert export.startswith("export TIDEMILL_API_KEY=...")
    wait_until(lambda: reason(stack, made.group()) == "", "the key is taken", 5)
    answered = shell(stack, f"{others[0]} --json", TIDEMILL_API_KEY=made.group())
    prediction_id = json.loads(answered)["prediction_id"]
    for command in others[1:]:
        command = command.replace("PREDICTION_ID", prediction_id)
        shell(stack, command, TIDEMILL_API_KEY=made.group())
    (stack.workspace / "ready.py").write_text(
        re.sub(r"^  ", "", program, flags=re.MULTILINE).replace('"..."', f'"{made.group()}"')
    )
    assert "prediction_id" in shell(stack, "python ready.py")
