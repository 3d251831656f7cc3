"""The file systems behind URLs of object storage, and the check that they can be used."""

import uuid
from typing import Any

from tidemill_core.durable import STAGED
from tidemill_core.errors import ConfigurationError
from tidemill_core.extras import installation
from tidemill_core.object_errors import converted, without_user
from tidemill_core.row_places import is_web


def open_files(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the URL's path in it.

    Raises:
        ConfigurationError: the package that reads such URLs is not installed, no package reads
            them, or the URL is that of a web server.
    """
    if is_web(url):
        rule = f"{without_user(url)} can only be read: name a bucket, such as s3://my-bucket/folder"
        raise ConfigurationError(rule)
    try:
        from fsspec.core import url_to_fs

        real_folders = {"auto_mkdir": True} if url.startswith("file:") else {}
        # Another machine may have changed what a cached listing says.
        files, root = url_to_fs(url, use_listings_cache=False, **real_folders)
    except (ImportError, ValueError) as error:
        advice = f"for s3:// {installation('s3')}"
        rule = f"{without_user(url)} cannot be used: {error}; {advice}"
        raise ConfigurationError(rule) from error
    return files, root.rstrip("/")


def check_files(url: str) -> bool | None:
    """Write, read, list and delete an object; return whether the bucket keeps deleted objects.

    Only S3 says that, and only to credentials that may ask; None where it is not known.

    Raises:
        ConfigurationError: as `open_files`.
        ObjectStorageRefused: the bucket is missing, or the credentials do not allow it.
        ObjectStorageUnavailable: it does not answer.
    """
    files, root = open_files(url)
    place = f"{root}/{STAGED}{uuid.uuid4().hex}"
    with converted(without_user(url)):
        files.pipe_file(place, b"written by tidemill doctor")
        files.cat_file(place)
        files.ls(root, detail=False)
        files.rm_file(place)
        if not hasattr(files, "is_bucket_versioned"):
            return None
        try:
            return bool(files.is_bucket_versioned(root.partition("/")[0]))
        except PermissionError:
            return None
