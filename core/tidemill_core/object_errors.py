"""The errors of object storage, and their conversion from those of file systems."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from tidemill_core.errors import DataError, TidemillError, Unavailable

_USER = re.compile(r"://[^/\s]*@")
_NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound")
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


class ObjectStorageUnavailable(Unavailable):
    """The object storage cannot be reached, or does not answer as it should."""

    reason = "OBJECT_STORAGE_UNAVAILABLE"

    def __init__(self, url: str, detail: object) -> None:
        super().__init__(
            f"the object storage {url} does not answer: {detail}. Try again once it does; "
            "AWS_ENDPOINT_URL names a server other than Amazon's"
        )


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


def _said(error: Exception) -> str:
    """Return an error's message without the full stop at its end, because more words follow."""
    return str(error).removesuffix(".")


@contextmanager
def converted(url: str) -> Iterator[None]:
    """Convert the errors of file systems, which have their own classes.

    Raises:
        ObjectStorageRefused: the bucket is missing, or the credentials do not allow it.
        ObjectStorageUnavailable: it does not answer.
        OSError: the disk of this machine is full.
    """
    try:
        yield
    except (TidemillError, ObjectGone):
        raise
    except FileNotFoundError as error:
        detail = f"{_said(error)}: create the bucket, or fix the URL"
        raise ObjectStorageRefused(url, detail) from error
    except PermissionError as error:
        detail = f"{_said(error)}: the credentials need to read, write, list and delete"
        raise ObjectStorageRefused(url, detail) from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _DISK_FULL:
            raise
        detail = without_user(_said(error)) or type(error).__name__
        if type(error).__name__ in _NO_CREDENTIALS:
            cure = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role"
            raise ObjectStorageRefused(url, f"{detail}: {cure}") from error
        raise ObjectStorageUnavailable(url, detail) from error
