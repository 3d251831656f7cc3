"""The settings of a task's sources."""

from pathlib import Path

import pytest

from tidemill_core.errors import ConfigurationError
from tidemill_core.settings import (
    WORKSPACE_FILE,
    FilesSource,
    HttpSource,
    SqlSource,
    TaskSettings,
    load_settings,
)

SQL = 'kind = "sql"\ncursor_column = "id"\n'
HTTP = 'kind = "http"\nurl = "https://api.example/t"\n'


def _load(*sources: str) -> TaskSettings:
    tables = [f"[[tasks.t.sources]]\n{source}\n" for source in sources]
    Path(WORKSPACE_FILE).write_text("\n".join(tables), encoding="utf-8")
    return load_settings().tasks["t"]


def test_kinds_are_distinct() -> None:
    """Each kind of source has its own settings; the default kind is files."""
    sources = _load(
        'path = "data/*.csv"',
        f'{SQL}url = "sqlite:///shop.db"\ntable = "tickets"',
        f'{HTTP}label_field = ""',
    ).sources
    assert [type(source) for source in sources] == [FilesSource, SqlSource, HttpSource]
    assert isinstance(sources[2], HttpSource)
    assert sources[2].label_field is None


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('kind = "carrier pigeon"', "carrier pigeon"),
        ("", "path"),
        ('path = ""', "path"),
        ('path = "a.csv"\ndelimiter = "\\""', "delimiter"),
        ('path = "a.csv"\nformat = "xml"', "format"),
        (f'{SQL}table = "t"', "set either url or url_env"),
        (f'{SQL}table = "t"\nurl = "sqlite://"\nurl_env = "U"', "set either url or url_env"),
        (f'{SQL}url = "sqlite://"', "set either table or query"),
        (f'{SQL}url = "sqlite://"\ntable = "t"\nquery = "SELECT"', "set either table or query"),
        (f'{SQL}url = "sqlite://"\ntable = "t"\noverlap = 5', "key_column"),
        ('kind = "sql"\nurl = "sqlite://"\ntable = "t"', "cursor_column"),
        ('kind = "http"\nurl = "ftp://x"', "url"),
        (f'{HTTP}items = "a..b"', "items"),
        (f'{HTTP}auth = "bearer"', "auth and token_env"),
        (f'{HTTP}token_env = "T"', "auth and token_env"),
        (f'{HTTP}token_env = "no name"\nauth = "bearer"', "token_env"),
        (f'{HTTP}since_parameter = "since"', "since_field or time_field"),
        (f"{HTTP}requests_per_second = 0", "requests_per_second"),
        (f"{HTTP}overlap = 60", "overlap needs since_parameter"),
        (f'{HTTP}since_parameter = "s"\nsince_field = "n"\noverlap = inf', "overlap"),
    ],
)
def test_wrong_sources_are_named(source: str, words: str) -> None:
    """A source that cannot work is refused with the setting that is wrong."""
    with pytest.raises(ConfigurationError, match=words) as caught:
        _load(source)
    assert "tasks.t.sources.0" in str(caught.value)


def test_a_source_is_declared_once() -> None:
    """The same source twice is refused."""
    with pytest.raises(ConfigurationError, match="two sources are the same"):
        _load('path = "a.csv"', 'kind = "files"\npath = "a.csv"')


def test_a_database_s_url_is_not_shown() -> None:
    """The password of a source is not in printed settings."""
    task = _load(f'{SQL}url = "postgresql://u:hunter2@h/d"\ntable = "t"')
    assert "hunter2" not in repr(task)
