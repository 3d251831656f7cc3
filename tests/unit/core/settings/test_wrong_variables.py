"""Variables of the environment that are wrong: what is said about them."""

import pytest

from tidemill_core.errors import ConfigurationError
from tidemill_core.settings import load_settings


@pytest.mark.parametrize(
    ("variable", "value", "name"),
    [
        ("TIDEMILL_GRPC_PORT", "many", "grpc_port is 'many'.*: must be a whole number$"),
        ("tidemill_grpc_port", "many", "grpc_port is 'many'.*: must be a whole number$"),
        ("TIDEMILL_TASKS", "support", "must be JSON"),
        (
            "TIDEMILL_TASKS",
            '{"a": {"sources": [{"path": ""}]}}',
            "sources.0.path.*not be empty$",
        ),
        ("TIDEMILL_FEEDBACK", "{", "must be JSON"),
        ("TIDEMILL_FEEDBACK__RETRAIN", "5", "did you mean feedback.retrain_after"),
        ("TIDEMILL_TASKS__SUPPORT__SOURCES", "train.csv", "must be JSON"),
        ("TIDEMILL_GPRC_PORT", "6000", "did you mean TIDEMILL_GRPC_PORT"),
        ("TIDEMILL_FEEDBACK_RETRAIN_AFTER", "5", "did you mean TIDEMILL_FEEDBACK__RETRAIN_AFTER"),
        ("TIDEMILL_FEEDBAK__RETRAIN_AFTER", "5", "did you mean TIDEMILL_FEEDBACK__RETRAIN_AFTER"),
        ("TIDEMILL_ADRESS", "mill:50051", "did you mean TIDEMILL_ADDRESS"),
        ("TIDEMILL_XYZZY", "1", "no such setting$"),
        ("TIDEMILL_GRPC_PORT__X", "1", "did you mean TIDEMILL_GRPC_PORT"),
        ("TIDEMILL_API_KEY__X", "1", "did you mean TIDEMILL_API_KEY"),
        ("TIDEMILL_GRPC_PORT", "TCP://10.0.0.1:1", "enableServiceLinks"),
        ("TIDEMILL_FEEDBACK__RETRAIN_AFTER__X", "5", "from TIDEMILL_FEEDBACK__RETRAIN_AFTER__X"),
        ("TIDEMILL_TASKS__NEW__LOG_SAMPLE", "0.5", "from TIDEMILL_TASKS__NEW__LOG_SAMPLE"),
    ],
)
def test_wrong_variables(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, name: str
) -> None:
    """A variable that breaks a rule, or that nothing reads, is named with what to do."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=name) as refused:
        load_settings()
    assert variable.upper() in str(refused.value)


@pytest.mark.parametrize("name", ["grpc", "http", "metrics"])
def test_a_variable_that_kubernetes_set_is_explained(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The URL that Kubernetes sets for a Service named tidemill-grpc is refused as a port."""
    variable = f"TIDEMILL_{name.upper()}_PORT"
    monkeypatch.setenv(variable, "tcp://10.0.0.1:50051")
    with pytest.raises(ConfigurationError) as refused:
        load_settings()
    told = str(refused.value)
    assert f"{name}_port is 'tcp://10.0.0.1:50051' (from {variable})" in told
    assert f"a Service named tidemill-{name}: set enableServiceLinks: false" in told
