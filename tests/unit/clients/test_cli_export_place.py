"""The places of exports."""

from pathlib import Path

import polars as pl
import pytest

from tests.plugins import small_disk
from tidemill_cli.dataset_files import EXPORTS, ExportPlace, export_rows
from tidemill_cli.failure import CannotWrite, WrongUsage
from tidemill_core.dataset_folder import EXAMPLES_FILE
from tidemill_core.errors import ConfigurationError


@pytest.mark.parametrize("url", ["s3://rows.csv", "s3:///rows.csv", "file://rows.csv", "://a.csv"])
def test_a_url_without_a_bucket_or_folder(url: str) -> None:
    """It is refused, instead of a file that appears in some local folder."""
    with pytest.raises(WrongUsage, match="write a bucket or folder before the file's name"):
        ExportPlace(url)


def test_a_web_server_takes_no_export() -> None:
    """It is refused before the rows are sent there."""
    with pytest.raises(ConfigurationError, match=r"http://127\.0\.0\.1:1 can only be read: name a"):
        ExportPlace("http://127.0.0.1:1/rows.csv")


@pytest.mark.parametrize("suffix", EXPORTS)
def test_a_full_disk_gets_no_part_of_an_export(tmp_path: Path, suffix: str) -> None:
    """The error has the system's reason, whichever library writes the format."""
    pl.DataFrame({"text": ["my card"], "split": ["train"]}).write_parquet(tmp_path / EXAMPLES_FILE)
    small = tmp_path / "small"
    with small_disk.mounted(small):
        small_disk.fill(small)
        (small / "filler-1").unlink()  # the file's name fits, but none of its bytes
        with pytest.raises(CannotWrite, match="cannot be written: No space left on device"):
            export_rows(tmp_path, ExportPlace(str(small / f"rows{suffix}")), "", raw=False)
        assert not list(small.glob("*rows*"))
