"""Settings that are wrong: what is said about them."""

import sys
from importlib.abc import MetaPathFinder
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from tidemill_core.errors import ConfigurationError
from tidemill_core.settings import WORKSPACE_FILE, load_settings
from tidemill_core.settings.tracking import mlflow_uri

TASK = '[tasks.support]\nsources = [{ path = "data/train.csv" }]\n'


def _write(text: str) -> None:
    Path(WORKSPACE_FILE).write_text(text, encoding="utf-8")


class Listings(MetaPathFinder):
    """Finds nothing, and counts how often all installed packages are listed."""

    count = 0

    def find_distributions(self, _context: object) -> list[Distribution]:
        """Count a listing."""
        self.count += 1
        return []


def test_installed_packages_are_listed_only_for_an_unknown_scheme() -> None:
    """Each command reads the settings, and listing the packages for MLflow's plugins is slow."""
    listings = Listings()
    sys.meta_path.append(listings)
    try:
        for uri in ("", "mlruns", "https://mlflow.example.com", "postgresql+psycopg://db/mlflow"):
            assert mlflow_uri(uri) == uri
        assert listings.count == 0
        with pytest.raises(ValueError, match="MLflow knows no scheme 'htp'"):
            mlflow_uri("htp://mlflow")
        assert listings.count == 1
    finally:
        sys.meta_path.remove(listings)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("grcp_port = 1", "grcp_port"),
        ("[feedback]\nretrain = 1", "feedback.retrain"),
        (TASK + "lables = 3", "tasks.support.lables"),
        ('[tasks.support]\nsources = [{ path = "a", columns = 1 }]', "columns"),
        ("[nonsense]", "nonsense"),
    ],
)
def test_unknown_settings(text: str, name: str) -> None:
    """An unknown setting is refused with its whole name."""
    _write(text)
    with pytest.raises(ConfigurationError, match=name):
        load_settings()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("grpc_port = 0", "grpc_port"),
        ("grpc_port = 65536", "grpc_port"),
        ('grpc_port = "high"', "grpc_port"),
        ("tasks = 3", "tasks"),
        ("[tasks.support]\nsources = []", "tasks.support: sources"),
        ("[tasks.support]", "tasks.support: sources"),
        (TASK + 'format = "pickle"', "tasks.support.format"),
        (TASK + "abstain_below = 1.5", "tasks.support.abstain_below"),
        (TASK + "abstain_for_precision = 1", "tasks.support.abstain_for_precision"),
        (TASK + 'training = { network = "forest" }', "tasks.support.training.network"),
        (TASK + "training = { seed = -1 }", "tasks.support.training.seed"),
        (TASK + "training = { trials = 0 }", "tasks.support.training.trials"),
        (TASK + "training = { budget_seconds = 0 }", "tasks.support.training.budget_seconds"),
        (TASK + "training = { budget_seconds = inf }", "tasks.support.training.budget_seconds"),
        (TASK + "training = { parallel_trials = 0 }", "tasks.support.training.parallel_trials"),
        ("[monitoring]\nwindow_hours = 0", "monitoring.window_hours"),
        ("[feedback]\nretrain_after = 0", "feedback.retrain_after"),
        ("[labeling]\naudit_share = 1.1", "labeling.audit_share"),
        ("[labeling]\njudgements = 0", "labeling.judgements"),
        ("[labeling]\nlease_minutes = 0", "labeling.lease_minutes"),
        ('dataset_storage = "datasets"', "dataset_storage"),
        ('dataset_storage = "s3:///"', "dataset_storage"),
        ('dataset_storage = "s3://key:secret@bucket"', "dataset_storage"),
        ('mlflow_tracking_uri = "htp://mlflow.example.com"', "MLflow knows no scheme 'htp'"),
        ('mlflow_tracking_uri = "redis+x://mlflow"', "MLflow knows no scheme 'redis'"),
        ('mlflow_tracking_uri = "https:///mlflow"', "mlflow_tracking_uri.* must name a host"),
        ('[auth]\njwks = "http://idp.example.com/keys"', "auth.jwks.* a file or an https URL"),
        ('[alerts.webhook]\nurl = "https://"', "alerts.webhook.url.* must be a URL"),
        ('[alerts.slack]\nwebhook_url = "https://a b"', "alerts.slack.webhook_url.* must be a URL"),
        ('[arize]\nurl = "https://api arize.com"', "arize.url.* must be a URL"),
        ('state_dir = ""', "state_dir is '': must not be empty"),
        ('model_repository = ""', "model_repository is '': must not be empty"),
        ('[tls]\ncertificate = ""', "tls.certificate is '': must not be empty"),
        (f'{TASK}golden_examples = ""', "golden_examples is '': must not be empty"),
    ],
)
def test_wrong_values(text: str, name: str) -> None:
    """A value that breaks its rule is refused with its setting's name."""
    _write(text)
    with pytest.raises(ConfigurationError, match=name):
        load_settings()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("grpc_port = 0", "grpc_port is 0: must be at least 1"),
        ("grpc_port = 65536", "grpc_port is 65536: must be at most 65535"),
        ("grpc_port = 0.5", "grpc_port is 0.5: must be a whole number"),
        ("grpc_host = 5", "grpc_host is 5: must be a string"),
        ("server = 5", "server is 5: must be a table"),
        ("[monitoring]\nwindow_hours = 0", "monitoring.window_hours is 0: must be more than 0"),
        ("[monitoring]\nwindow_hours = inf", "window_hours is inf: must be a finite number"),
        ("[monitoring]\nwindow_hours = 1e7", "window_hours is 10000000.0: must be at most 8784"),
        ("[prediction_log]\nretention_days = 999999", "is 999999: must be at most 36600"),
        (TASK + "text_retention_days = 1e9", "is 1000000000.0: must be at most 36600"),
        (TASK + "rollout = { max_hours = 1e9 }", "is 1000000000.0: must be at most 8784"),
        ("[feedback]\nretrain_max_age_days = 1e9", "is 1000000000.0: must be at most 36600"),
        ("[monitoring]\nmax_accuracy_drop = 1", "is 1: must be less than 1"),
        ('[tracing]\nsample = "x"', "tracing.sample is 'x': must be a number"),
        ('[server]\nreflection = "maybe"', "server.reflection is 'maybe': must be true or false"),
        ("[tls]\ncertificate = 7", "tls.certificate is 7: must be a path"),
        ("[feedback]\ntrust = { x = 2 }", "feedback.trust.x is 2: must be at most 1"),
        ("[feedback]\ntrust = { x = 1e-4 }", "feedback.trust.x is 0.0001: must be at least 0.001"),
        (TASK + "redact = 5", "tasks.support.redact is 5: must be a list"),
        (TASK + "rollout = { steps = 50 }", "rollout.steps is 50: must be a list"),
        ('[tracing]\notlp_endpoint = "localhost:4317"', "must be a URL that begins with https://"),
        ('[tracing]\notlp_endpoint = "http://"', "must be a URL that begins with https://"),
        ('[sagemaker]\nendpoint_url = "s3"', "must be a URL that begins with https://"),
        ('[sagemaker]\nendpoint_url = "https://a b"', "must be a URL that begins with https://"),
        ('[triton]\nmetrics_url = "http://a:1/m http://b:1/m"', "with commas between"),
        ('[triton]\nmetrics_url = "http://a:1/metrics,b:2"', "or several with commas between"),
        ('[tracking]\ntrackers = "mlflow"', "tracking.trackers is 'mlflow': must be a list"),
        ('[tasks.support]\nsources = ["a.csv"]', "sources.0 is 'a.csv': must be a table"),
        (TASK + 'format = "pickle"', "is 'pickle': must be 'onnx' or 'torchscript'"),
        (
            TASK + 'format = "torchscript"\ntraining = { int8 = true }',
            "tasks.support: training.int8 needs the format 'onnx', and the format is 'torchscript'",
        ),
        ("[tasks.support]", "tasks.support: sources: name at least one"),
        ("[tasks.support]\nsources = []", "tasks.support: sources: name at least one"),
        ("[tasks.Bad]", "tasks.Bad is 'Bad': must be a name of up to 40 of a-z"),
        ('[ray]\naddress = "head"', "is 'head': must be a host and a port such as 10.0.0.1:6379"),
        ('[arize]\nurl = "https://x/"', "must be a URL that begins with https:// or http:// and"),
        ('[alerts]\nreport_url = "https://x"', "must be a URL with {report_id} in it"),
        (
            '[alerts.smtp]\nhost = "x"\nsender = "mill"\nrecipients = ["a@b"]',
            "alerts.smtp.sender is 'mill': must be a mail address such as ana@example.com",
        ),
        ('[alerts.pagerduty]\nrouting_key = "x"\nurl = "x"', "url: must be a URL that begins"),
        (
            '[tasks.t]\nsources = [{ kind = "http", url = "ftp://x" }]',
            "tasks.t.sources.0.url: must be a URL that begins with https:// or http://",
        ),
        (
            '[tasks.t]\nsources = [{ kind = "http", url = "http://x", text_field = "a..b" }]',
            "is 'a..b': must be names with dots between them, such as data.tickets",
        ),
        (
            '[tasks.t]\nsources = [{ kind = "sql", url_env = "A-B", cursor_column = "id" }]',
            "is 'A-B': must be the name of an environment variable",
        ),
        (
            '[tasks.t]\nsources = [{ path = "a", delimiter = \'"\' }]',
            "must not be a quote or the end of a line",
        ),
        (
            '[tasks.t]\nsources = [{ path = "a", delimiter = "ab" }]',
            "tasks.t.sources.0.delimiter is 'ab': must have at most 1 character",
        ),
        ('[tasks.t]\nsources = [{ kind = "x" }]', "kind 'x' must be one of 'files', 'sql', 'http'"),
        ('[tasks.t]\nsources = [{ kind = "sql" }]', "tasks.t.sources.0.cursor_column: missing"),
    ],
)
def test_rules_are_in_plain_words(text: str, line: str) -> None:
    """A wrong value is reported with the setting as in the file, and what it must be."""
    _write(text)
    with pytest.raises(ConfigurationError) as refused:
        load_settings()
    assert line in str(refused.value)
    assert "Input" not in str(refused.value)


def test_all_faults_at_once() -> None:
    """Several faults are reported at once, each on its own line."""
    _write("grpc_port = 0\nnonsense = 1\n")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    first, *faults = str(caught.value).splitlines()
    assert first == "wrong settings:"
    assert sorted(fault.split()[0].strip(":") for fault in faults) == ["grpc_port", "nonsense"]


@pytest.mark.parametrize(
    "text",
    [
        "prediction_id_keys = 12345678",
        "[triton]\ncontrol_key = 12345678",
        '[[tasks.t.sources]]\nkind = "sql"\nurl = 12345678\ntable = "t"\ncursor_column = "id"',
        "[triton]\ncontrol_kye = 12345678",
    ],
)
def test_secrets_are_not_repeated(text: str) -> None:
    """An error names the setting, but not its value."""
    _write(text)
    with pytest.raises(ConfigurationError, match=r"triton|keys|sources") as refused:
        load_settings()
    assert "12345678" not in str(refused.value)


@pytest.mark.parametrize("content", [b"grpc_port = \n", b"[tasks", b"a = 1\na = 2\n", b"\xff\xfe"])
def test_a_broken_file(workspace: Path, content: bytes) -> None:
    """A file that is not TOML is refused with its whole path."""
    (workspace / WORKSPACE_FILE).write_bytes(content)
    with pytest.raises(ConfigurationError, match=str(workspace / WORKSPACE_FILE)):
        load_settings()


@pytest.mark.parametrize(
    "name", ['""', "Support", "1st", "_a", "sup-port", '"a b"', '"é"', '"a\\n"', '"../x"', "a" * 41]
)
def test_wrong_task_names(name: str) -> None:
    """Any other name is refused, because it is part of paths and of Triton's model names."""
    _write(TASK.replace("support", name))
    with pytest.raises(ConfigurationError, match="tasks"):
        load_settings()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('[alerts.slack]\nwebhook_url = "hush"', "alerts.slack.webhook_url"),
        ("[alerts.slack]\nwebhook = 1", "alerts.slack.webhook"),
        ("[alerts.pagerduty]", "alerts.pagerduty.routing_key"),
        ('[alerts.webhook]\nurl = "https://x/hush"', "alerts.webhook.secret"),
        ('[[alerts.routes]]\nsinks = ["slack"]', "no section alerts.slack"),
        ('[[alerts.routes]]\nsinks = ["fax"]', "alerts.routes.0.sinks.0"),
        ('[[alerts.routes]]\nkinds = ["drfit"]\nsinks = []', "alerts.routes.0.kinds.0"),
        ('[[alerts.routes]]\ntasks = ["suport"]\nsinks = []', "there is no such task"),
        ('[alerts.smtp]\nhost = "h"\nsender = "a@b"\nrecipients = []', "alerts.smtp.recipients"),
    ],
)
def test_wrong_alert_sinks(text: str, name: str) -> None:
    """A sink that cannot work is refused with its setting's name, and no secret is shown."""
    _write(text)
    with pytest.raises(ConfigurationError, match=name) as raised:
        load_settings()
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("retention_days = 0", "must be at least 1"),
        ("retention_days = 7", "must be at least 8"),
        ("retention_days = 15\n[monitoring]\nwindow_hours = 47.5", "must be at least 16"),
        (f"retention_days = 8\n{TASK}rollout = {{ max_hours = 200 }}", "must be at least 9"),
    ],
)
def test_predictions_are_kept_as_long_as_they_are_read(text: str, rule: str) -> None:
    """A retention that is shorter than what checks and rollouts look back is refused."""
    _write(f"[prediction_log]\n{text}")
    with pytest.raises(ConfigurationError, match=f"prediction_log.*{rule}"):
        load_settings()
