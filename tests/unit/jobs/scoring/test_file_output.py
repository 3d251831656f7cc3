"""A file as the output of the job `score`."""

from pathlib import Path

import pytest

from tidemill_core.errors import DataError
from tidemill_core.row_places import PrivateFolders
from tidemill_jobs.scoring.writing.file_output import FileOutput


def test_a_folder_that_takes_no_files_is_refused_before_the_work(tmp_path: Path) -> None:
    """No row is scored for an output that could not be written."""
    with pytest.raises(DataError, match=r"/proc/out\.csv cannot be written: No such file"):
        FileOutput("/proc/out.csv", tmp_path, PrivateFolders(()), overwrite=False)


@pytest.mark.parametrize("name", ["a::b.csv", "data:x.csv", "what? #1 %20 [x].csv"])
def test_a_path_is_no_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """An output on this machine may have any name."""
    staged = tmp_path / "staged"
    staged.mkdir()
    monkeypatch.chdir(tmp_path)
    output = FileOutput(name, staged, PrivateFolders(()), overwrite=False)
    output.write([{"text": "a"}], None)
    output.commit()
    assert (tmp_path / name).read_text() == "text\na\n"
