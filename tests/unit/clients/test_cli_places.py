"""Paths and URLs that the jobs read and write."""

from pathlib import Path

import pytest

from tidemill_cli.places import absolute


@pytest.mark.parametrize("path", ["in.csv", "a:b.csv", "folder/*.csv", "10:30 tickets.csv"])
def test_a_path_is_in_full(path: str) -> None:
    """The jobs run in another folder, so they get the whole path, whatever is in the name."""
    assert absolute(path) == str(Path.cwd() / path)


@pytest.mark.parametrize(
    "place", ["s3://bucket/in.csv", "sqlite:///x.db#rows", "env:WAREHOUSE_URL#rows", "/in.csv"]
)
def test_urls_and_full_paths_stay(place: str) -> None:
    """A URL, a database and a full path are the same on every machine."""
    assert absolute(place) == place
