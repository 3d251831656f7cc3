"""The errors of object storage, and their conversion from those of file systems."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from tidemill_core.durable import DISK_FULL, cause
from tidemill_core.errors import DataError, TidemillError, Unavailable

_USER = re.compile(r"://[^/\s]*@")
_NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound")
_WRONG_CREDENTIALS = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken")
_WRONG_REQUEST = (errno.EINVAL, errno.ENAMETOOLONG, errno.ENOSYS, errno.EREMCHG)
"""Errors that s3fs makes of S3's codes for wrong names, regions and requests."""
_BUCKET_FULL = ("QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "XMinioStorageFull")
"""S3's codes, as Ceph and MinIO answer them, for a bucket that takes no more."""


class ObjectStorageUnavailable(Unavailable):
    """The object storage cannot be reached, or does not answer as it should."""

    reason = "OBJECT_STORAGE_UNAVAILABLE"

    def __init__(self, url: str, detail: object, code: str = "") -> None:
        if code:
            found = f"answers with the error {code}: {detail}. "
            full = "See that server's log: its disk or the bucket's quota may be full"
            found += full if code == "InternalError" else "Try again; see that server's log"
        else:
            found = f"does not answer: {detail}. Try again once it does; AWS_ENDPOINT_URL names a "
            found += "server other than Amazon's"
        super().__init__(f"the object storage {url} {found}")


class ObjectStorageRefused(DataError):
    """The object storage answers, but does not allow what is needed."""

    def __init__(self, url: str, detail: object) -> None:
        super().__init__("OBJECT_STORAGE_REFUSED", f"the object storage {url} refuses: {detail}")


class ObjectDamaged(DataError):
    """An object that is not the one that was written."""

    def __init__(self, place: str, detail: str) -> None:
        cure = "remove it and the objects.json next to it; a machine that has the files writes them"
        super().__init__("OBJECT_DAMAGED", f"{place} is damaged: {detail}; {cure} again")


class ObjectGone(Exception):
    """An object that a newer `objects.json` no longer names; callers never see it."""


def without_user(text: str) -> str:
    """Return a text without the user and the password of the URLs in it."""
    return _USER.sub("://", text)


@contextmanager
def converted(url: str) -> Iterator[None]:
    """Convert the errors of file systems, which have their own classes.

    Raises:
        ObjectStorageRefused: the bucket is missing, or the settings or credentials are wrong.
        ObjectStorageUnavailable: it does not answer.
        OSError: the disk of this machine is full.
    """
    try:
        yield
    except (TidemillError, ObjectGone):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise
        detail = " ".join(without_user(cause(error)).split())
        if cure := _cure(error):
            raise ObjectStorageRefused(url, f"{detail}: {cure}") from error
        raise ObjectStorageUnavailable(url, detail, _code(error)) from error


def _cure(error: Exception) -> str:
    """Return what to do about an error that stays until someone does it; empty for others."""
    name, code = type(error).__name__, _code(error)
    if isinstance(error, FileNotFoundError):
        return "create the bucket, or fix the URL"
    if name in _NO_CREDENTIALS:
        return "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role"
    if code in _WRONG_CREDENTIALS:
        return "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the machine's role"
    if code in _BUCKET_FULL:
        return "make room in the bucket, or raise its quota"
    if code == "RequestTimeTooSkewed":
        return "set the clock of this machine"
    if isinstance(error, PermissionError):
        return "check the credentials: they need to read, write, list and delete"
    if isinstance(error, OSError) and error.errno in _WRONG_REQUEST:
        return "fix the URL, or AWS_ENDPOINT_URL"
    is_malformed = isinstance(error, ValueError) or name == "ParamValidationError"
    return "fix the URL, or AWS_ENDPOINT_URL" if is_malformed else ""


def _code(error: Exception) -> str:
    """Return S3's code of an error, such as `AccessDenied`."""
    answer = getattr(error.__cause__, "response", None)
    return str(answer["Error"].get("Code", "")) if isinstance(answer, dict) else ""
