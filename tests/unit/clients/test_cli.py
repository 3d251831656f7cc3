"""The command line without a server: arguments, exit codes and help."""

import importlib
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from tidemill_cli.main import COMMANDS, run
from tidemill_cli.target import CallerSettings

NOBODY = "127.0.0.1:1"


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_list_of_commands_says_what_the_commands_say() -> None:
    """Each command in the overview exists and has the description of its own help."""
    for name, summary in COMMANDS.items():
        command = typer.main.get_command(importlib.import_module(f"tidemill_cli.{name}").app)
        assert (command.help or summary).splitlines()[0] == summary


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_teaches_with_an_example(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The --help of a command, and of each command of a group, shows an example."""
    command = typer.main.get_command(importlib.import_module(f"tidemill_cli.{name}").app)
    for arguments in [[name], *([name, verb] for verb in getattr(command, "commands", {}))]:
        assert run([*arguments, "--help"]) == 0
        assert f"Example: {'cd' if name == 'up' else 'tidemill'}" in capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_print_json(name: str) -> None:
    """Programs can read the output of any command: each takes --json."""
    command = typer.main.get_command(importlib.import_module(f"tidemill_cli.{name}").app)
    for leaf in getattr(command, "commands", {"": command}).values():
        assert "--json" in {option for each in leaf.params for option in each.opts}, leaf.name


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "support", "hello"],
        ["predict", "support", "hello", "again", "--json"],
        ["feedback", "submit", "id", "--correct"],
        ["feedback", "list"],
        ["preferences", "submit", "--prompt", "p", "--chosen", "a", "--rejected", "b"],
        ["preferences", "propose", "--prompt", "p", "--first", "a", "--second", "b"],
        ["preferences", "list"],
        ["preferences", "stats"],
        ["preferences", "export", "--out", "pairs"],
        ["label", "list"],
        ["label", "agreement", "--task", "support"],
        ["label", "export", "waiting.json"],
        ["models", "list"],
        ["models", "show", "support"],
        ["models", "history", "support"],
        ["models", "pause", "support"],
        ["models", "resume", "support"],
        ["models", "promote", "support", "2"],
        ["models", "approve", "support", "2"],
        ["models", "reject", "support", "2", "--comment", "worse"],
        ["models", "reproduce", "support", "2"],
        ["models", "rollback", "support"],
        ["models", "traffic", "support", "--canary", "2=10"],
        ["models", "deployments"],
        ["datasets", "list"],
        ["datasets", "show"],
        ["datasets", "show", "12345678"],
        ["datasets", "diff", "12345678", "87654321"],
        ["jobs", "list"],
        ["jobs", "runs"],
        ["jobs", "run", "retrain", "--task", "support"],
        ["jobs", "show", "id"],
        ["jobs", "watch", "id"],
        ["jobs", "cancel", "id"],
        ["reports", "list"],
        ["reports", "show", "id"],
        ["alerts", "list"],
        ["alerts", "acknowledge", "id"],
        ["alerts", "silence", "--for", "2h", "--reason", "why"],
        ["alerts", "silences"],
        ["alerts", "unsilence", "id"],
        ["status"],
    ],
    ids=" ".join,
)
def test_without_a_server_a_command_says_so_and_ends_with_3(
    arguments: list[str], workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stdout is empty, and stderr has one sentence with the address and what to do."""
    assert workspace.is_dir()
    assert run([*arguments, "--address", NOBODY]) == 3
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(
        f"error: nothing answers at {NOBODY}: start it with `tidemill up`"
    )
    assert len(printed.err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["predict"],
        ["predict", "support", "hello", "--top-k", "0"],
        ["feedback", "submit", "id"],
        ["feedback", "submit", "id", "--correct", "--label", "refund"],
        ["feedback", "submit", "id", "--label=\udcff"],
        ["feedback", "import", "missing.jsonl"],
        ["preferences", "submit", "--prompt", "p", "--chosen", "a"],
        ["preferences", "submit", "--prompt", "p", "--chosen", "\udcff", "--rejected", "b"],
        ["preferences", "export", "--out", "pairs", "--format", "csv"],
        ["preferences", "export", "--out", "."],
        ["label"],
        ["label", "--task", "support"],
        ["label", "--task", "support", "list"],
        ["label", "export", "."],
        ["label", "import", "missing.json"],
        ["label", "list", "--state", "LOST"],
        ["models", "promote", "support"],
        ["models", "promote", "support", "0"],
        ["models", "show", "support", "x"],
        ["models", "show", "1", "2"],
        ["models", "import", "--model", "m.bin", "--tokenizer", "t", "--labels", "l"],
        ["models", "import", "--model", "no.onnx", "--tokenizer", "t", "--labels", "l"],
        ["models", "import", "--model", "empty.onnx", "--tokenizer", "t", "--labels", "l"],
        ["models", "traffic", "support", "--canary", "ten"],
        ["models", "traffic", "support", "--champion-only", "--shadow", "3"],
        ["datasets", "export", "12345678", "rows.xlsx"],
        ["datasets", "export", "12345678", "rows.csv", "--split", "all"],
        ["datasets", "gc", "--keep", "0"],
        ["datasets", "show", "--html", "page.txt"],
        ["datasets", "export", "12345678", "https://example.com/rows.csv"],
        ["jobs", "run", "check_drift", "--task", "support", "--seed", "1"],
        ["predict", "support", "\udcff", "--address", NOBODY],
        ["up"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(
    arguments: list[str], workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong arguments are refused before a call to the server."""
    (workspace / "empty.onnx").touch()
    assert run(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["predict", "support", "a", "--top-k", "x"], "'--top-k': must be a whole number"),
        (["replay", "a.csv", "--until", "2011-13-01"], "'2011-13-01' is not a day such as 2024"),
        (["models", "list", "--limit", "0"], "'--limit': must be at least 1"),
        (["reports", "list", "--kind", "x"], "'--kind': 'x' is not one of 'accuracy', 'drift'"),
        (["init", "--data", "a.csv", "--delimiter", "ab"], "must have at most 1 character"),
    ],
    ids=" ".join,
)
def test_a_wrong_argument_is_explained_plainly(
    arguments: list[str], rule: str, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rule is named without the words of the library that checks it."""
    (workspace / "a.csv").write_text("text,label\na,b\n")
    assert run(arguments) == 2
    said = re.sub(r"[\s│]+", " ", capsys.readouterr().err)
    assert rule in said


def test_a_long_help_is_wrapped_as_paragraphs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line ends of a docstring do not show in the help of a narrow terminal."""
    monkeypatch.setenv("COLUMNS", "80")
    for command in (["restart"], ["erase", "texts"], ["datasets", "export"]):
        assert run([*command, "--help"]) == 0
        prose = [line.strip() for line in capsys.readouterr().out.split("\n")[5:]]
        lines = prose[: prose.index("")]
        assert len(lines) > 1
        assert all(len(line) > 60 for line in lines[:-1])


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["up"],
        ["restart"],
        ["erase", "list"],
        ["audit", "list"],
        ["keys", "list"],
        ["datasets", "show"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("content", [None, "grpc_port = 50052\n"])
def test_outside_a_workspace_a_command_says_where_it_looked(
    arguments: list[str],
    content: str | None,
    workspace: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The message shows the path of the file that is missing or has no task; exit code 2."""
    file = workspace / "tidemill.toml"
    if content is not None:
        file.write_text(content)
    assert run(arguments) == 2
    words = f"there is no {file}" if content is None else f"{file} has no task"
    assert f"error: {words}: change to a workspace's folder" in capsys.readouterr().err
    assert not (workspace / "var").exists()


def test_help_names_the_variables_of_keys_and_tls(capsys: pytest.CaptureFixture[str]) -> None:
    """`tidemill --help` describes how to reach a server, and commands refer to it."""
    assert run(["--help"]) == 0
    printed = capsys.readouterr().out
    for name in CallerSettings.model_fields:
        assert f"TIDEMILL_{name.upper()}" in printed
    assert "TIDEMILL_ADDRESS" in printed
    assert run(["models", "list", "--help"]) == 0
    assert "tidemill --help" in " ".join(capsys.readouterr().out.split())


@pytest.mark.usefixtures("workspace")
def test_a_database_that_is_away_is_named_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command that uses the database itself shows what the database's library says, in a line."""
    assert run(["init"]) == 0
    monkeypatch.setenv("TIDEMILL_DATABASE_URL", "postgresql+psycopg://ann@127.0.0.1:1/mill")
    capsys.readouterr()
    assert run(["keys", "list"]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert "Connection refused" in said
    assert said.endswith("(STORAGE_UNAVAILABLE)")


def test_wrong_settings_are_named(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown setting is shown with its path, without a traceback."""
    (workspace / "tidemill.toml").write_text("[feedback]\nretrain_afer = 5\n")
    assert run(["models", "list"]) == 2
    assert "feedback.retrain_afer" in capsys.readouterr().err


def test_the_address_comes_from_the_settings_or_the_environment(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The workspace's port is used, 0.0.0.0 as 127.0.0.1, and TIDEMILL_ADDRESS overrides it."""
    port = free_port()
    (workspace / "tidemill.toml").write_text(f'grpc_host = "0.0.0.0"\ngrpc_port = {port}\n')
    assert run(["models", "list"]) == 3
    assert f"nothing answers at 127.0.0.1:{port}:" in capsys.readouterr().err
    monkeypatch.setenv("TIDEMILL_ADDRESS", NOBODY)
    assert run(["models", "list"]) == 3
    assert f"nothing answers at {NOBODY}:" in capsys.readouterr().err


def test_help_is_quick_because_commands_are_imported_when_used() -> None:
    """`tidemill --help` imports neither gRPC nor pydantic nor SQLAlchemy."""
    script = (
        "import sys\nfrom tidemill_cli.main import run\nassert run(['--help']) == 0\n"
        "slow = {'grpc', 'pydantic', 'sqlalchemy'} & set(sys.modules)\nassert not slow, slow\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)


def test_colors_are_for_terminals_only(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Piped output has no escape sequences, and no row is wrapped at 80 columns."""
    assert run(["init"]) == 0
    capsys.readouterr()
    run(["doctor"])
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    rows = printed.out.splitlines()[1:]
    assert all(row.split()[0] in {"ok", "warn", "fail"} for row in rows)
    assert workspace.is_dir()
