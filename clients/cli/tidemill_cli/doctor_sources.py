"""The sources that `tidemill doctor` finds wrong."""

import os
from collections.abc import Iterator
from glob import iglob
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from tidemill_cli.local import missing_module
from tidemill_core.row_places import with_literal_folders
from tidemill_core.settings import FilesSource, Settings, SourceSettings, SqlSource


def wrong_sources(settings: Settings) -> Iterator[str]:
    """Yield each source whose file is missing, or whose URL nothing here can read, and why.

    A machine without the jobs' packages reads no sources.
    """
    if missing_module() is not None:
        return
    for task, of_task in settings.tasks.items():
        for place, source in enumerate(of_task.sources):
            if problem := _problem(source):
                yield f"tasks.{task}.sources.{place}: {problem}"


def _problem(source: SourceSettings) -> str:
    if isinstance(source, FilesSource):
        return _of_files(source.path)
    if not isinstance(source, SqlSource):
        return ""
    url = os.environ.get(source.url_env, "") if source.url_env else source.url.get_secret_value()
    return _of_database(url) if url else ""  # another check names a variable that is not set


def _of_files(path: str) -> str:
    if "://" in path:
        import fsspec  # of the jobs, which read sources

        scheme = path.rpartition("::")[2].partition("://")[0].lower()
        known = scheme in fsspec.available_protocols()
        return "" if known else f"fsspec knows no URL that begins with {scheme}://"
    full = str(Path(path).expanduser().absolute())
    # `os.path` calls a name missing that is too long; a glob is a whole path here.
    there = os.path.exists(full) or any(  # noqa: PTH110
        iglob(with_literal_folders(full), recursive=True)  # noqa: PTH207
    )
    return "" if there else f"{path} is missing"


def _of_database(url: str) -> str:
    """Return what is wrong with a database's URL, without the URL, which may have a password."""
    try:
        make_url(url).get_dialect().import_dbapi()
    except ArgumentError:
        return "SQLAlchemy does not know its url; write one such as postgresql+psycopg://…"
    except ImportError as error:
        return f"the driver that its url names is not installed: {error.name}"
    return ""
