"""The launcher of trainings on SageMaker on a machine that AWS's tools are not set up for."""

from pathlib import Path

import pytest

from tidemill_core.settings.sagemaker import SagemakerSettings
from tidemill_jobs.training.sagemaker.launcher import Order, SagemakerUnavailable, run_training


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, "You must specify a region"),
        ({"AWS_DEFAULT_REGION": "us-east-1"}, "Unable to locate credentials"),
        ({"AWS_PROFILE": "missing"}, "profile (missing) could not be found"),
    ],
)
def test_the_error_names_the_variables_to_set(
    variables: dict[str, str], found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A region, credentials or a profile that is missing is named, with what to do."""
    for name in ("REGION", "DEFAULT_REGION", "PROFILE", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    rows = tmp_path / "rows.parquet"
    rows.write_bytes(b"rows")
    settings = SagemakerSettings(role="role", image="image", bucket="bucket")
    with pytest.raises(SagemakerUnavailable, match="set AWS_DEFAULT_REGION and cred") as error:
        run_training(settings, Order("name", "support", rows, {}), tmp_path, lambda *_: None)
    assert found in str(error.value)
