"""Where a task's rows come from: one small module a kind of source."""

from tidemill_core.settings import CsvSource
from tidemill_jobs.data.sources.files import FileSource
from tidemill_jobs.data.sources.source import Source


def open_source(settings: CsvSource) -> Source:
    """The source that settings declare."""
    return FileSource(settings)
