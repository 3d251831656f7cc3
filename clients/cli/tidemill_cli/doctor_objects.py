"""The checks of `tidemill doctor` of object storage."""

from collections.abc import Iterator

from tidemill_cli.doctor_checks import Check
from tidemill_core.errors import TidemillError
from tidemill_core.object_errors import without_user
from tidemill_core.object_files import check_files
from tidemill_core.settings import load_settings


def examine_objects() -> Iterator[Check]:
    """Check that the workspace's object storage can be read and written, if it has some."""
    try:
        settings = load_settings()
    except TidemillError:
        return  # another check says so
    for name in ("dataset_storage", "model_storage"):
        if url := getattr(settings, name):
            yield _storage(name, url)


def _storage(name: str, url: str) -> Check:
    try:
        keeps_deleted = check_files(url)
    except (TidemillError, OSError) as error:
        return Check(name, "fail", str(error), "see docs/object-storage.md")
    shown = without_user(url)
    if keeps_deleted:
        remedy = "turn versioning off, or let the bucket's lifecycle remove noncurrent objects"
        return Check(name, "warn", f"{shown} has versioning on: it keeps erased texts", remedy)
    if keeps_deleted is None and url.startswith("s3://"):
        remedy = "check it; s3:GetBucketVersioning lets this check ask"
        return Check(name, "warn", f"{shown}: unknown whether versioning is on", remedy)
    return Check(name, "ok", f"{shown} can be read and written")
