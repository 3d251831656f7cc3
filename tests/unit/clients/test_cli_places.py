"""Paths and URLs that the jobs read and write."""

from pathlib import Path

import pytest
from sqlalchemy import make_url

from tidemill_cli.places import absolute


@pytest.mark.parametrize("path", ["in.csv", "a:b.csv", "folder/*.csv", "10:30 tickets.csv"])
def test_a_path_is_in_full(path: str) -> None:
    """The jobs run in another folder, so they get the whole path, whatever is in the name."""
    assert absolute(path) == str(Path.cwd() / path)


@pytest.mark.parametrize(
    "place",
    [
        *("s3://bucket/in.csv", "sqlite:////x.db#rows", "sqlite:///file:x.db?uri=true#rows"),
        *("env:WAREHOUSE_URL#rows", "postgresql:///shop#rows", "/in.csv"),
    ],
)
def test_urls_and_full_paths_stay(place: str) -> None:
    """A URL, a database and a full path are the same on every machine."""
    assert absolute(place) == place


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+pysqlite"])
def test_the_path_of_a_sqlite_is_in_full(scheme: str) -> None:
    """As that of a file: otherwise the jobs look for it, or make it, in their own folder."""
    assert absolute(f"{scheme}:///x.db#rows") == f"{scheme}:///{Path.cwd()}/x.db#rows"
    assert absolute(f"{scheme}:///~/x.db#rows") == f"{scheme}:///{Path.home()}/x.db#rows"


@pytest.mark.parametrize("name", ["c#", "what?", "a%20b", "a b", "[x]", "100%", "ü\n'\"\\;&"])
def test_the_folder_of_a_sqlite_may_have_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The URL means the file in this folder, although #, ? and % mean something in a URL."""
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    for place in ("sqlite:///x.db#rows", "sqlite:///%78.db?timeout=3#rows"):
        database, _, rows = absolute(place).partition("#")
        assert make_url(database).database == str(tmp_path / name / "x.db")
        assert rows == "rows"
    assert make_url(database).query == {"timeout": "3"}
