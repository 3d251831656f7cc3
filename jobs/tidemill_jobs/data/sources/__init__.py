"""Where a task's rows come from: one small module a kind of source.

`source` is what they have in common. `files` reads files, `sql` a database, `http` an API.
"""

import hashlib
import json
import re

from tidemill_core.settings import FilesSource, SourceSettings, SqlSource
from tidemill_jobs.data.sources.files import Files
from tidemill_jobs.data.sources.http import Http
from tidemill_jobs.data.sources.source import Source
from tidemill_jobs.data.sources.sql import Sql
from tidemill_jobs.data.sources.stored_file import without_secrets, without_user

_NAME_LENGTH = 40

# Settings that change how a source is read, and not what it holds.
_MANNERS = {
    *("overlap", "auth", "auth_header", "token_env"),
    *("requests_per_second", "timeout_seconds", "max_pages"),
}


def open_source(settings: SourceSettings) -> Source:
    """The source that settings declare; it reads nothing yet.

    Its name says where it reads and what: a source whose settings change in that is another one,
    and is read from its beginning.
    """
    if isinstance(settings, FilesSource):
        return Files(_name(without_secrets(settings.path), settings), settings)
    if isinstance(settings, SqlSource):
        return Sql(_name(settings.table or "query", settings), settings)
    return Http(_name(without_secrets(settings.url), settings), settings)


def _name(place: str, settings: SourceSettings) -> str:
    readable = re.sub("[^a-z0-9]+", "-", place.lower())[-_NAME_LENGTH:]
    described = settings.model_dump(mode="json", exclude=_MANNERS, exclude_defaults=True)
    # A new user or password makes it no other place.
    if isinstance(settings, SqlSource):
        described["url"] = settings.url.get_secret_value().rpartition("@")[2]
    for where in {"path", "url"} & described.keys():
        described[where] = without_user(described[where])
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    return f"{readable}-{digest.hexdigest()[:8]}".lstrip("-")
