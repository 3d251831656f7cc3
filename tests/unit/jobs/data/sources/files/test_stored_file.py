"""The files that a path means, local and remote, and the names of sources."""

import gzip
import os
import re
from pathlib import Path

import fsspec
import pytest

from tests.unit.jobs.data.sources.landing import Landing
from tidemill_core.errors import DataError
from tidemill_core.settings import FilesSource, HttpSource, SqlSource
from tidemill_jobs.data.sources import open_source
from tidemill_jobs.data.sources.files.stored_file import without_secrets

CSV = b"text,label\nx,a\n"


def _origins(path: str, **values: str) -> list[object]:
    landing = Landing()
    landing.read(open_source(FilesSource(path=path, **values)))
    return [row["origin"] for row in landing.rows]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a workspace with files of all kinds below `data`."""
    (tmp_path / "data" / "deep").mkdir(parents=True)
    for name in ("b.csv", "deep/c.CSV", "a[1].csv", ".hidden.csv", "_started.csv", "notes.txt"):
        (tmp_path / "data" / name).write_bytes(CSV)
    (tmp_path / "data" / "d.csv.gz").write_bytes(gzip.compress(CSV))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("data", ["data/a[1].csv:2", "data/b.csv:2", "data/d.csv.gz:2", "data/deep/c.CSV:2"]),
        ("data/*.csv", ["data/a[1].csv:2", "data/b.csv:2"]),
        ("data/**/c.*", ["data/deep/c.CSV:2"]),
        ("data/a[1].csv", ["data/a[1].csv:2"]),
        ("data/[a-c].csv", ["data/b.csv:2"]),
        ("data/notes.txt", ["data/notes.txt:2"]),
    ],
)
def test_a_path_means_files(path: str, found: list[str]) -> None:
    """A folder means its visible files of known formats, at any depth; globs select files."""
    assert _origins(path) == found


def test_folders_with_a_glob_s_characters_mean_themselves(folder: Path) -> None:
    """An existing folder is taken literally; only the rest of the path is a glob."""
    odd = folder / "d[1] *? a::b"
    odd.mkdir()
    (odd / "a.csv").write_bytes(CSV)
    (odd / "b[2].csv").write_bytes(CSV)
    (folder / "d1 xx").mkdir()
    (folder / "d1 xx" / "a.csv").write_bytes(CSV)
    both = [f"{odd}/a.csv:2", f"{odd}/b[2].csv:2"]
    assert _origins(str(odd)) == both
    assert _origins(f"{odd}/*.csv") == both
    assert _origins(f"{odd}/b[2].csv") == both[1:]
    assert _origins("d[1] */*.csv") == ["d1 xx/a.csv:2"]


@pytest.mark.parametrize(
    "name",
    ["data:x.csv", "a::b.csv", "file.csv", "10:30.csv", "file:x.csv", "local:x.csv", "~x.csv"],
)
def test_a_file_may_be_named_like_a_url(folder: Path, name: str) -> None:
    """Only `://` makes a path a URL."""
    (folder / name).write_text("text,label\nx,a\n")
    assert _origins(name) == [f"{name}:2"]


def test_a_name_that_is_not_utf8_is_shown_escaped(folder: Path) -> None:
    """A file's name may be any bytes."""
    (folder / "latin").mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/latin/caf\xe9.csv")).write_bytes(CSV)
    assert _origins("latin") == ["latin/caf\\udce9.csv:2"]


@pytest.mark.parametrize(
    "path", ["a\0b.csv", "x" * 5000, "a::b::c.csv", "http://[/x.csv", "zip://x::none.zip"]
)
def test_a_path_that_no_library_takes_is_reported(path: str) -> None:
    """Any error of fsspec becomes our error."""
    with pytest.raises(DataError) as caught:
        _origins(path)
    assert caught.value.reason in {"SOURCE_MISSING", "SOURCE_UNREADABLE"}


def test_a_set_format_takes_files_of_any_name() -> None:
    """If the settings have a format, suffixes do not matter."""
    assert _origins("data/*.txt", format="csv") == ["data/notes.txt:2"]
    with pytest.raises(DataError, match=re.escape("there is no file to read at data/*.txt")):
        _origins("data/*.txt")


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("htp://host/a.csv", "cannot be read: Protocol not known: htp; fix it"),
        ("gs://bucket/a.csv", "cannot be read: Please install gcsfs"),
    ],
)
def test_a_url_that_no_package_reads_is_reported(path: str, problem: str) -> None:
    """The error names the protocol, or the package to install."""
    with pytest.raises(DataError, match=problem):
        _origins(path)


@pytest.mark.parametrize("path", ["none.csv", "data/none", "data/*.parquet", "file:///none.csv"])
def test_a_path_without_files_is_reported(path: str) -> None:
    """No file, no folder, and a glob without matches are errors."""
    with pytest.raises(DataError, match=r"none|parquet") as caught:
        _origins(path)
    assert caught.value.reason == "SOURCE_MISSING"


def test_files_elsewhere_are_read() -> None:
    """Remote files are read like local files, also when they grow."""
    store, landing = fsspec.filesystem("memory"), Landing()
    store.pipe_file("/shop/a.csv", CSV)
    source = open_source(FilesSource(path="memory://shop/*.csv"))
    landing.read(source)
    assert landing.read(source) == []
    store.pipe_file("/shop/a.csv", CSV + b"y,b\n")
    store.pipe_file("/shop/b.csv", CSV)
    landing.read(source)
    assert [row["origin"] for row in landing.rows] == [
        "memory:///shop/a.csv:2",
        "memory:///shop/a.csv:3",
        "memory:///shop/b.csv:2",
    ]


def test_an_unknown_protocol_is_reported() -> None:
    """The error names the URL and has fsspec's message."""
    with pytest.raises(DataError, match="carrier://pigeon cannot be read") as caught:
        _origins("carrier://pigeon")
    assert caught.value.reason == "SOURCE_UNREADABLE"


def test_a_name_says_what_is_read_and_not_how() -> None:
    """Another column makes another source; another password or rate does not."""

    def sql(**values: object) -> str:
        declared = {"kind": "sql", "url": "postgresql://u:p@h/d", "table": "t", **values}
        return open_source(SqlSource.model_validate({"cursor_column": "id", **declared})).name

    def http(**values: object) -> str:
        return open_source(HttpSource(kind="http", url="https://h/v1/t?key=secret", **values)).name

    assert sql() == sql(url="postgresql://u:changed@h/d") != sql(url="postgresql://u:p@h/other")
    assert sql() != sql(text_column="body")
    assert http() == http(requests_per_second=1.0, max_pages=3) != http(items="x")
    assert all(re.fullmatch("[a-z0-9_-]+", name) for name in (sql(), http()))
    assert "secret" not in http()


@pytest.mark.parametrize(
    ("protocol", "parameters"),
    [("https", "?signature=ter2"), ("ftp", ""), ("simplecache::https", "?signature=ter2")],
)
def test_a_url_s_password_is_shown_nowhere(protocol: str, parameters: str) -> None:
    """Neither an error nor a source's name, which manifests and folders have, contains it."""
    path = f"{protocol}://bob:hun@ter2@127.0.0.1:1/x.csv{parameters}"
    source = open_source(FilesSource(path=path))
    with pytest.raises(DataError, match=r"127\.0\.0\.1:1/x\.csv") as caught:
        Landing().read(source)
    for told in (source.name, str(caught.value)):
        assert "127" in told
        assert "ter2" not in told
        assert "bob" not in told
    changed = FilesSource(path=path.replace("hun@ter2", "other"))
    assert open_source(changed).name == source.name
    api = HttpSource(kind="http", url="https://bob:hunter2@h.io/v1")
    assert open_source(api).name.startswith("https-h-io-v1-")


@pytest.mark.parametrize(
    "path", ["data/a@b.csv", "abfs://container@account.net/x.csv", "s3://bucket/a?.csv"]
)
def test_what_is_no_secret_is_shown(path: str) -> None:
    """An at sign may be part of a name, and a question mark of a glob."""
    assert without_secrets(path) == path
