"""Valid and broken CSV files."""

import csv
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.jobs.data.sources.landing import Landing, Row
from tidemill_core.errors import DataError
from tidemill_core.settings import FilesSource
from tidemill_jobs.data.sources import open_source


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of the file."""
    return tmp_path / "train.csv"


def _read(path: Path, content: str | bytes) -> Landing:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return _found(path)


def _found(path: Path) -> Landing:
    landing = Landing()
    landing.read(open_source(FilesSource(path=path)))
    return landing


def _pairs(landing: Landing) -> list[tuple[object, object]]:
    rows = [row for row in landing.rows if "rule" not in row]
    return [(row["text"] or "", row["label"] or "") for row in rows]


def _quarantined(landing: Landing) -> list[tuple[int, object]]:
    return [(int(str(row["origin"]).rsplit(":")[-1]), row["rule"]) for row in _broken(landing)]


def _broken(landing: Landing) -> list[Row]:
    return [row for row in landing.rows if "rule" in row]


def test_each_row_knows_where_it_stands(path: Path) -> None:
    """A row's origin is its file and first line; blank lines are not rows."""
    rows = _read(path, 'text,label\n"two\nlines",a\n\nlast,b\n')
    found = [(row["text"], row["label"], row["origin"]) for row in rows.rows]
    assert found == [("two\nlines", "a", f"{path}:2"), ("last", "b", f"{path}:5")]


def test_columns_are_found_by_name(path: Path) -> None:
    """The order of the columns and other columns do not matter."""
    assert _pairs(_read(path, "id,label,text\n1,a,hello\n")) == [("hello", "a")]


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_any_line_end_is_read(path: Path, ends: str) -> None:
    """Unix, Windows and old Macintosh line ends are read alike."""
    assert _pairs(_read(path, ends.join(["text,label", "x,a", '"y, z",b']))) == [
        ("x", "a"),
        ("y, z", "b"),
    ]


def test_a_byte_order_mark_is_not_part_of_a_name(path: Path) -> None:
    """A file with UTF-8's byte order mark is read like any other."""
    assert _pairs(_read(path, b"\xef\xbb\xbftext,label\nx,a\n")) == [("x", "a")]


def test_doubled_quotes_are_one(path: Path) -> None:
    """A doubled quote within quotes is one quote."""
    assert _pairs(_read(path, 'text,label\n"say ""hi""",a\n')) == [('say "hi"', "a")]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "EMPTY_FILE"),
        (b" \n\n", "EMPTY_FILE"),
        (b"text,label\n", "NO_ROWS"),
        (b"text,category\nx,a\n", "MISSING_COLUMN"),
        (b"text,label,text\nx,a,y\n", "AMBIGUOUS_COLUMN"),
        (b'text,"label\nx,a\n', "BROKEN_HEADER"),
        (b"text,label,\xe9t\xe9\nx,a,b\n", "NOT_UTF8"),
        ("text,label\nx,a\n".encode("utf-16"), "NOT_UTF8"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(path: Path, content: bytes, reason: str) -> None:
    """The error has the reason and names the file."""
    with pytest.raises(DataError, match=r"train\.csv") as caught:
        _read(path, content)
    assert caught.value.reason == reason


def test_a_missing_column_is_named_with_those_there(path: Path) -> None:
    """The error names the missing column, the line and the existing columns."""
    with pytest.raises(DataError, match=r"line 1: no column 'label'; it has: text, category"):
        _read(path, "text,category\nx,a\n")


def test_a_missing_file_is_refused(path: Path) -> None:
    """A missing source has its own reason."""
    with pytest.raises(DataError) as caught:
        _found(path)
    assert caught.value.reason == "SOURCE_MISSING"


def test_rows_in_another_encoding_are_quarantined(path: Path) -> None:
    """Latin-1 bytes affect only their row, and stay readable."""
    rows = _read(path, b"text,label\ncaf\xe9,a\nx,b\n")
    assert _pairs(rows) == [("x", "b")]
    assert _quarantined(rows) == [(2, "NOT_UTF8")]
    assert _broken(rows)[0]["value"] == "caf\\udce9,a"


def test_rows_of_another_width_are_quarantined(path: Path) -> None:
    """An extra comma or a missing column affects only its row."""
    rows = _read(path, "text,label\nwell, hello,a\nx\ny,b\n")
    assert _pairs(rows) == [("y", "b")]
    assert _quarantined(rows) == [(2, "WRONG_COLUMN_COUNT"), (3, "WRONG_COLUMN_COUNT")]


def test_a_quote_open_to_the_end_costs_one_row(path: Path) -> None:
    """A quote that is never closed does not swallow the rest of the file."""
    rows = _read(path, 'text,label\n"broken,a\nx,a\ny,b\n')
    assert _pairs(rows) == [("x", "a"), ("y", "b")]
    assert _quarantined(rows) == [(2, "BROKEN_QUOTES")]
    assert _broken(rows)[0]["value"] == '"broken,a'


def test_a_quote_closed_by_the_next_row_costs_one_row(path: Path) -> None:
    """A quote that the next row's opening quote closes affects only its row."""
    rows = _read(path, 'text,label\n"broken,a\nx,a\n"y, z",b\n')
    assert _pairs(rows) == [("x", "a"), ("y, z", "b")]
    assert _quarantined(rows) == [(2, "BROKEN_QUOTES")]


@pytest.mark.parametrize(
    "content",
    [
        'text,label\nv,a\nw,b\n"broken,a\nx,a\nit is 5",b\ny,b\n',
        'label,text\na,v\nb,w\na,"broken\na,x\nb,it is 5"\nb,y\n',
    ],
)
def test_rows_between_two_stray_quotes_are_found(path: Path, content: str) -> None:
    """Two stray quotes that make valid CSV of several rows do not hide these rows."""
    rows = _read(path, content)
    assert _pairs(rows) == [("v", "a"), ("w", "b"), ("x", "a"), ('it is 5"', "b"), ("y", "b")]
    assert _quarantined(rows) == [(4, "BROKEN_QUOTES")]


def test_text_behind_a_closing_quote_costs_one_row(path: Path) -> None:
    """Text after a closing quote is an error, not a guess."""
    rows = _read(path, 'text,label\n"a" b,a\nx,b\n')
    assert _pairs(rows) == [("x", "b")]
    assert _quarantined(rows) == [(2, "BROKEN_QUOTES")]


def test_a_text_of_lines_with_commas_is_a_text(path: Path) -> None:
    """Quoted lines with commas but without a known label are not rows."""
    text = "Dear all,\nwell, thanks\nand, bye"
    assert _pairs(_read(path, f'text,label\n"{text}",a\nx,b\n')) == [(text, "a"), ("x", "b")]


@settings(suppress_health_check=list(HealthCheck))
@given(
    pieces=st.lists(
        st.sampled_from(['"', ",", "\n", "\r", "x", "a", " ", "\x00", "\xe9", "\u2028"])
    )
)
def test_no_file_is_read_wrong_silently(path: Path, pieces: list[str]) -> None:
    """In any file, each line is part of at most one row, kept or quarantined."""
    rows = _read(path, "text,label\nfirst,label\n" + "".join(pieces))
    assert _pairs(rows)[0] == ("first", "label")
    origins = [row["origin"] for row in rows.rows]
    assert len(set(origins)) == len(origins)


@settings(suppress_health_check=list(HealthCheck))
@given(rows=st.lists(st.tuples(st.text(alphabet='x ",\n\t\u00e9'), st.just("label")), min_size=1))
def test_what_a_csv_writer_writes_is_read_back(path: Path, rows: list[tuple[str, str]]) -> None:
    """Commas, quotes and line ends in a text are read back, and no row is quarantined."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    found = _found(path)
    stripped = [(text.strip(" \t"), label) for text, label in rows]
    assert (_pairs(found), _broken(found)) == (stripped, [])


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "row",
    [
        '"money back", "refund"',
        '"money back" ,"refund" ',
        ' "money back"  ,  "refund"  ',
        '"money back",\t"refund"\t',
        '"money back",\u00a0"refund"\u00a0',
        '"money back",\u2003"refund"\u3000',
        '\ufeff"money back",\u200b"refund"',
        '\u200e"money back"\u200f,\u2067"refund"\u2069',
        '\u2028"money back"\u0085,\x0b"refund"\x0c',
        "money back,\u2003refund\ufeff",
        "money back, refund",
        " money back ,refund\t",
        'money back , "refund" ',
    ],
)
@pytest.mark.parametrize("header", ["text,label", '"text" , "label" ', " text ,\tlabel\t"])
def test_padding_is_not_part_of_a_field(path: Path, delimiter: str, header: str, row: str) -> None:
    """Spaces and tabs around a field are removed, with or without quotes, also in the header."""
    if delimiter == "\t":
        header, row = header.replace("\t", " "), row.replace("\t", " ")
    lines = [header, row, 'x,"refund"', row, ""]
    path.write_text("\n".join(lines).replace(",", delimiter), encoding="utf-8")
    landing = Landing()
    landing.read(open_source(FilesSource(path=path, delimiter=delimiter)))
    refund = ("money back", "refund")
    assert (_pairs(landing), _broken(landing)) == ([refund, ("x", "refund"), refund], [])


@pytest.mark.parametrize("text", ['a "" , ""b"" , c', '"" , ""', 'x\n"", ""\t,\ny', ', "" ,'])
def test_padding_within_quotes_is_kept(path: Path, text: str) -> None:
    """Padding and quotes within a quoted field belong to the field."""
    rows = _read(path, f'text,label\n"{text}" , "a"\n')
    assert _pairs(rows) == [(text.replace('""', '"'), "a")]


@pytest.mark.parametrize("padding", [" ", "\t"])
def test_a_padded_row_with_broken_quotes_costs_itself_alone(path: Path, padding: str) -> None:
    """Padding makes no stray quote a closing one, and hides no later row."""
    rows = _read(path, f'text,label\nv,a\n"broken,a\n"x",{padding}"a"{padding}\n"y" z,a\nw,a\n')
    assert _pairs(rows) == [("v", "a"), ("x", "a"), ("w", "a")]
    assert _quarantined(rows) == [(3, "BROKEN_QUOTES"), (5, "BROKEN_QUOTES")]
