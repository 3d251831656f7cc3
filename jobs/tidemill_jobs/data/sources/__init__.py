"""Sources of a task's rows.

`source` has the contract. `files` reads files, `sql` a database, `web_api` an API over HTTP;
`raw_rows` converts their rows to the columns that all sources share.
"""

import hashlib
import json
import re

from tidemill_core.settings import FilesSource, SourceSettings, SqlSource
from tidemill_jobs.data.sources.files.file_source import Files
from tidemill_jobs.data.sources.files.stored_file import without_secrets, without_user
from tidemill_jobs.data.sources.source import Source
from tidemill_jobs.data.sources.sql.sql_source import DatabaseSource
from tidemill_jobs.data.sources.web_api.api_source import WebApi

_NAME_LENGTH = 40

# Settings that change how a source is read, but not what it contains.
_READ_SETTINGS = {
    *("overlap", "auth", "auth_header", "token_env"),
    *("requests_per_second", "timeout_seconds", "max_pages"),
}


def open_source(settings: SourceSettings) -> Source:
    """Return the source that the settings declare; it reads nothing yet.

    Its name depends on where it reads and what. If one of these settings changes, the source is a
    new one and is read from its beginning.
    """
    if isinstance(settings, FilesSource):
        return Files(_name(without_secrets(settings.path), settings), settings)
    if isinstance(settings, SqlSource):
        return DatabaseSource(_name(settings.table or "query", settings), settings)
    return WebApi(_name(without_secrets(settings.url), settings), settings)


def _name(place: str, settings: SourceSettings) -> str:
    readable = re.sub("[^a-z0-9]+", "-", place.lower())[-_NAME_LENGTH:]
    described = settings.model_dump(mode="json", exclude=_READ_SETTINGS, exclude_defaults=True)
    # A new user or password does not make it another source.
    if isinstance(settings, SqlSource):
        described["url"] = settings.url.get_secret_value().rpartition("@")[2]
    for where in {"path", "url"} & described.keys():
        described[where] = without_user(described[where])
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    return f"{readable}-{digest.hexdigest()[:8]}".lstrip("-")
