"""`tidemill keys` and `tidemill audit` on a workspace's own database."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tidemill_cli.main import run
from tidemill_core.storage.api_keys import secret_digest, split_api_key
from tidemill_core.storage.storage import open_storage


@pytest.fixture(autouse=True)
def initialized(workspace: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Path]:
    """Create a workspace with its task; commands make files private until the test ends."""
    before = os.umask(0o077)
    os.umask(before)
    assert run(["init"]) == 0
    capsys.readouterr()
    yield workspace
    os.umask(before)


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert run([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def _task(workspace: Path) -> str:
    [line] = [
        line
        for line in (workspace / "tidemill.toml").read_text().splitlines()
        if line.startswith("[tasks.")
    ]
    return line.removeprefix("[tasks.").removesuffix("]")


def test_a_key_is_made_listed_and_revoked(
    initialized: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only the first answer has the secret, and the audit trail has who did what."""
    task = _task(initialized)
    options = ["--scope", "predict", "--scope", "feedback", "--task", task, "--rate", "2.5"]
    made = _json(capsys, "keys", "create", "--name", "shop", *options, "--expires", "30d")
    shown = made.pop("api_key")
    assert made["scopes"] == ["feedback", "predict"]
    assert (made["name"], made["tasks"], made["requests_per_second"]) == ("shop", [task], 2.5)
    times = [datetime.fromisoformat(made[name]) for name in ("create_time", "expire_time")]
    assert times[1] - times[0] == timedelta(days=30)
    storage = open_storage(f"sqlite:///{initialized / 'var' / 'tidemill.db'}")
    [stored] = storage.api_keys.active()
    storage.database.close()
    key_id, secret = split_api_key(shown)
    assert stored.secret_digest == secret_digest(secret)
    assert _json(capsys, "keys", "list") == [made]
    revoked = _json(capsys, "keys", "revoke", key_id)
    assert revoked["revoke_time"] is not None
    assert revoked["was_active"]
    assert _json(capsys, "keys", "revoke", key_id) == {**revoked, "was_active": False}
    records = _json(capsys, "audit", "list")
    assert [record["method"] for record in records] == [
        "tidemill keys revoke",
        "tidemill keys revoke",
        "tidemill keys create",
    ]
    assert {record["request"]["key_id"] for record in records} == {key_id}
    assert secret not in json.dumps(records)
    assert len(_json(capsys, "audit", "list", "--limit", "1")) == 1
    assert _json(capsys, "audit", "list", "--task", task) == []


def test_tables_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """The key is shown once, on stdout only; the list shows its state and not the secret."""
    assert run(["keys", "create", "--name", "shop", "--scope", "predict"]) == 0
    made = capsys.readouterr()
    [shown] = [word for word in made.out.split() if word.startswith("tm_")]
    assert shown not in made.err
    assert "TIDEMILL_API_KEY" in made.err
    assert run(["keys", "list"]) == 0
    listed = capsys.readouterr().out
    assert "active" in listed
    assert split_api_key(shown)[1] not in listed
    assert run(["keys", "revoke", split_api_key(shown)[0]]) == 0
    assert "revoked" in capsys.readouterr().out
    assert run(["audit", "list"]) == 0
    assert "keys revoke" in capsys.readouterr().out


def test_the_database_is_private(initialized: Path) -> None:
    """Only the owner may read a database that the command creates."""
    assert run(["keys", "create", "--name", "shop", "--scope", "predict"]) == 0
    assert (initialized / "var" / "tidemill.db").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["keys", "create", "--name", "a", "--scope", "predict", "--task", "nope"], 2, "nope"),
        (["keys", "create", "--name", "a", "--scope", "predict", "--expires", "soon"], 2, "30d"),
        (["keys", "create", "--name", "a", "--scope", "everything"], 2, "everything"),
        (["keys", "create", "--name", "a", "--scope", "predict", "--rate", "0"], 2, "above 0"),
        (["keys", "create", "--name", "", "--scope", "predict"], 2, "INVALID_NAME"),
        (["keys", "revoke", "0123456789ab"], 2, "API_KEY_NOT_FOUND"),
    ],
)
def test_what_cannot_be_done(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, told: str
) -> None:
    """The command ends with its exit code and says what is wrong; it creates no key."""
    assert run(arguments) == code
    assert told in capsys.readouterr().err
    assert _json(capsys, "keys", "list") == []


def test_keys_are_created_in_the_servers_image(workspace: Path) -> None:
    """A key needs the database alone: the packages of the jobs may be missing."""
    code = (
        "import sys; sys.modules['apscheduler'] = None; from tidemill_cli.main import run; "
        "sys.exit(run(['keys', 'create', '--name=shop', '--scope=predict']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=workspace, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
