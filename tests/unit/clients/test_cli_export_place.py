"""The places of exports."""

import pytest

from tidemill_cli.dataset_files import ExportPlace
from tidemill_cli.failure import WrongUsage


@pytest.mark.parametrize("url", ["s3://rows.csv", "s3:///rows.csv", "file://rows.csv", "://a.csv"])
def test_a_url_without_a_bucket_or_folder(url: str) -> None:
    """It is refused, instead of a file that appears in some local folder."""
    with pytest.raises(WrongUsage, match="write a bucket or folder before the file's name"):
        ExportPlace(url)
