"""Settings: the workspace's file, then the environment."""

import os
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from tidemill_cli.target import CallerSettings
from tidemill_core.errors import ConfigurationError
from tidemill_core.settings import WORKSPACE_FILE, load_settings
from tidemill_core.storage.storage import open_storage

TASK = '[tasks.support]\nsources = [{ path = "data/train.csv" }]\n'


def _write(text: str) -> None:
    Path(WORKSPACE_FILE).write_text(text, encoding="utf-8")


def test_defaults(workspace: Path) -> None:
    """Without a file every setting has its default, inside the workspace."""
    settings = load_settings()
    assert settings.tasks == {}
    assert settings.grpc_port == 50051
    assert settings.state_dir == workspace / "var"
    assert settings.model_repository == workspace / "model_repository"
    assert settings.effective_database_url == f"sqlite:///{workspace}/var/tidemill.db"
    assert settings.effective_mlflow_tracking_uri == f"sqlite+pysqlite:///{workspace}/var/mlflow.db"
    assert settings.triton_address == "127.0.0.1:8001"


def test_the_file() -> None:
    """The file's values are used, including those of sections and tasks."""
    _write(f'grpc_port = 6000\n[feedback]\nretrain_after = 7\n{TASK}format = "torchscript"\n')
    settings = load_settings()
    assert settings.grpc_port == 6000
    assert settings.feedback.retrain_after == 7
    assert settings.tasks["support"].format == "torchscript"
    assert settings.tasks["support"].sources[0].path == "data/train.csv"
    assert settings.tasks["support"].sources[0].label_column == "label"


def test_trust_has_whole_thousandths() -> None:
    """A weight is the same in training, in a dataset's id and where verdicts are added up."""
    _write("[feedback]\ntrust = { bot = 0.50049, crowd = 0.001 }")
    assert load_settings().feedback.trust == {"bot": 0.5, "crowd": 0.001}


def test_the_environment_beats_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable overrides its own setting and no other."""
    _write(
        "grpc_port = 6000\ntriton_grpc_port = 6001\n"
        f"[monitoring]\nwindow_hours = 5\nmin_verdicts = 9\n{TASK}"
    )
    monkeypatch.setenv("TIDEMILL_GRPC_PORT", "7000")
    monkeypatch.setenv("TIDEMILL_MONITORING__WINDOW_HOURS", "0.5")
    monkeypatch.setenv("TIDEMILL_TASKS__SUPPORT__ABSTAIN_BELOW", "0.25")
    settings = load_settings()
    assert (settings.grpc_port, settings.triton_grpc_port) == (7000, 6001)
    assert (settings.monitoring.window_hours, settings.monitoring.min_verdicts) == (0.5, 9)
    assert settings.tasks["support"].abstain_below == 0.25
    assert len(settings.tasks["support"].sources) == 1


def test_nested_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two underscores lead into a section; one belongs to the name."""
    monkeypatch.setenv("TIDEMILL_FEEDBACK__RETRAIN_AFTER", "500")
    monkeypatch.setenv("TIDEMILL_TRITON__URL", "triton:9001")
    monkeypatch.setenv("TIDEMILL_TRITON_GRPC_PORT", "9002")
    settings = load_settings()
    assert settings.feedback.retrain_after == 500
    assert settings.triton_address == "triton:9001"
    assert settings.triton_grpc_port == 9002


@pytest.mark.parametrize("service", ["TIDEMILL", "TIDEMILL_SERVER", "TIDEMILL_TRITON"])
def test_other_variables_of_kubernetes_are_ignored(
    monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    """The variables of a Service in the namespace do not stop a process from starting."""
    values = {
        "SERVICE_HOST": "10.0.0.1",
        "SERVICE_PORT": "50051",
        "SERVICE_PORT_GRPC": "50051",
        "PORT": "tcp://10.0.0.1:50051",
        "PORT_50051_TCP": "tcp://10.0.0.1:50051",
        "PORT_50051_TCP_PROTO": "tcp",
        "PORT_50051_TCP_PORT": "50051",
        "PORT_50051_TCP_ADDR": "10.0.0.1",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"{service}_{name}", value)
    assert load_settings().grpc_port == 50051


def test_variables_that_something_else_reads_are_no_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The commands' own variables and the secrets that sources name are accepted."""
    for name in CallerSettings.model_fields:
        monkeypatch.setenv(f"TIDEMILL_{name.upper()}", "x")
    monkeypatch.setenv("TIDEMILL_ADDRESS", "mill:50051")
    monkeypatch.setenv("TIDEMILL_SHOP", "secret")
    _write(
        '[[tasks.support.sources]]\nkind = "http"\nurl = "https://shop.example"\n'
        'auth = "bearer"\ntoken_env = "TIDEMILL_SHOP"\n'
    )
    assert load_settings().tasks


def test_paths(workspace: Path) -> None:
    """Relative paths are in the workspace, absolute paths stay, and ~ is the home folder."""
    _write('state_dir = "here/state"\nmodel_repository = "/srv/models"\n')
    settings = load_settings()
    assert settings.state_dir == workspace / "here" / "state"
    assert settings.model_repository == Path("/srv/models")
    _write('state_dir = "~/state"\n')
    assert load_settings().state_dir == Path.home() / "state"


@pytest.mark.parametrize("name", ["a?x", "a#x", "a%20x", "100%", "a b", "[x]", "a\nü", "a:b@c"])
def test_a_database_lies_in_its_own_workspace(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Characters that mean something in a URL are part of the folder's name."""
    (workspace / name).mkdir()
    monkeypatch.chdir(workspace / name)
    settings = load_settings()
    open_storage(settings.effective_database_url).database.close()
    assert settings.state_dir == workspace / name / "var"
    assert (settings.state_dir / "tidemill.db").exists()
    assert make_url(settings.effective_mlflow_tracking_uri).database == str(
        settings.state_dir / "mlflow.db"
    )
    assert [path.name for path in workspace.iterdir()] == [name]


@pytest.mark.parametrize(
    ("folder", "rule"),
    [(os.fsdecode(b"caf\xe9"), "is not UTF-8"), ("/".join(["long" * 40] * 3), "480")],
)
def test_a_workspace_where_nothing_can_be_kept_is_refused(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, folder: str, rule: str
) -> None:
    """The error names the setting and what is wrong with the path."""
    (workspace / folder).mkdir(parents=True)
    monkeypatch.chdir(workspace / folder)
    with pytest.raises(ConfigurationError, match=f"state_dir.*{rule}"):
        load_settings()


def test_a_given_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """A named database or tracking server is used."""
    monkeypatch.setenv("TIDEMILL_DATABASE_URL", "postgresql+psycopg://db/tidemill")
    monkeypatch.setenv("TIDEMILL_MLFLOW_TRACKING_URI", "http://mlflow:5000")
    settings = load_settings()
    assert settings.effective_database_url == "postgresql+psycopg://db/tidemill"
    assert settings.effective_mlflow_tracking_uri == "http://mlflow:5000"


@pytest.mark.parametrize(
    "uri",
    [
        *("", "mlruns", "/srv/mlruns", "file:///srv/mlruns", "http://10.0.0.1:5000", "databricks"),
        *("databricks://team", "postgresql+psycopg://u:p@h/mlflow", "sqlite:///mlflow.db"),
    ],
)
def test_places_that_mlflow_knows(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    """A folder, a server and a database are tracking URIs."""
    monkeypatch.setenv("TIDEMILL_MLFLOW_TRACKING_URI", uri)
    assert load_settings().mlflow_tracking_uri == uri


@pytest.mark.parametrize("name", ["a", "support", "paper_titles2", "a" * 40])
def test_task_names(name: str) -> None:
    """A task's name is at most 40 lower-case letters, digits and underscores, a letter first."""
    _write(TASK.replace("support", name))
    assert list(load_settings().tasks) == [name]


def test_settings_do_not_change() -> None:
    """Loaded settings cannot be changed."""
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.grpc_port = 1


def test_alert_sinks_from_the_file_and_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A section may be in the file, in variables, or half in each; no secret is shown."""
    _write('[alerts.webhook]\nurl = "https://hook.example/hush"\n')
    monkeypatch.setenv("TIDEMILL_ALERTS__WEBHOOK__SECRET", "hush")
    monkeypatch.setenv("TIDEMILL_ALERTS__SLACK__WEBHOOK_URL", "https://hooks.slack.com/hush")
    monkeypatch.setenv("TIDEMILL_ALERTS__PAGERDUTY__ROUTING_KEY", "hush")
    alerts = load_settings().alerts
    assert alerts.configured == ["log", "slack", "pagerduty", "webhook"]
    assert alerts.slack is not None
    assert alerts.slack.webhook_url.get_secret_value() == "https://hooks.slack.com/hush"
    assert "hush" not in repr(alerts)
