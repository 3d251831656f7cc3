"""The check of `tidemill doctor` of trainings on SageMaker."""

from collections.abc import Iterator
from importlib.util import find_spec

from tidemill_cli.doctor_checks import Check
from tidemill_core.errors import TidemillError
from tidemill_core.extras import installation
from tidemill_core.settings import WORKSPACE_FILE, load_settings
from tidemill_core.settings.sagemaker import SagemakerSettings


def examine_sagemaker() -> Iterator[Check]:
    """Check that trainings on SageMaker can start, if there are settings of it."""
    try:
        settings = load_settings().sagemaker
    except TidemillError:
        return  # another check says so
    if settings == SagemakerSettings():
        return
    if settings.missing:
        remedy = f"set them in {WORKSPACE_FILE}"
        yield Check("sagemaker", "fail", f"not set: {settings.missing}", remedy)
    elif find_spec("boto3") is None:
        yield Check("sagemaker", "fail", "boto3 is not installed", installation("sagemaker"))
    elif missing := _missing_in_aws():
        remedy = "set AWS_DEFAULT_REGION and credentials, or AWS_PROFILE, for the process jobs"
        yield Check("sagemaker", "warn", missing, remedy)
    else:
        yield Check("sagemaker", "ok", f"trains with {settings.image} in {settings.bucket}")


def _missing_in_aws() -> str:
    """Return what AWS's tools do not find here; empty if they find a region and credentials."""
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        session = boto3.Session()
        found = {"region": session.region_name, "credentials": session.get_credentials()}
    except BotoCoreError as error:
        return str(error)
    missing = [name for name, value in found.items() if not value]
    return f"AWS's tools find no {' and no '.join(missing)}" if missing else ""
