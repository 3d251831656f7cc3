"""The output: a file of some format, or a table, which appears complete or not at all.

Rows go to a file in the folder of the scoring first. `commit` then moves it to its place.
"""

from pathlib import Path

from tidemill_core.row_places import PrivateFolders, check_output, database_place
from tidemill_jobs.scoring.writing.file_output import FileOutput
from tidemill_jobs.scoring.writing.output import Output
from tidemill_jobs.scoring.writing.table_output import TableOutput

__all__ = ["Output", "open_output"]


def open_output(place: str, folder: Path, private: PrivateFolders, *, overwrite: bool) -> Output:
    """Return the output at a place. Nothing appears there before its `commit`.

    Args:
        place: a path, a URL, or DATABASE#TABLE.
        folder: where its rows are until then.
        private: where it must not be.
        overwrite: whether an output that exists is replaced.

    Raises:
        DataError: the place cannot be written, or exists.
    """
    check_output(place)
    if (table := database_place(place)) is not None:
        private.check_database(table.url)
        return TableOutput(table, folder, overwrite=overwrite)
    return FileOutput(place, folder, private, overwrite=overwrite)
