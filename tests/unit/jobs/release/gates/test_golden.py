"""The file of golden examples."""

from pathlib import Path

import pytest

from tidemill_core.errors import DataError
from tidemill_jobs.release.gates.golden import read_golden


def test_texts_have_the_current_names_of_their_labels(tmp_path: Path) -> None:
    """A label that was renamed stands for its new name, and a byte-order mark does not matter."""
    path = tmp_path / "golden.csv"
    path.write_text('\ufefftext,label,note\n"a, b",old,why\nc, kept ,\n', encoding="utf-8")
    assert read_golden(path, {"old": "new"}) == [("a, b", "new"), ("c", "kept")]


@pytest.mark.parametrize("gap", [" ", "\t", "\u00a0", "\u200e"])
def test_padding_around_quotes_is_not_part_of_a_label(tmp_path: Path, gap: str) -> None:
    """A golden file is read as a source reads it: otherwise every version fails the gate."""
    path = tmp_path / "golden.csv"
    row = f'{gap}"money, ""back"""{gap},{gap}"cafe\u0301"{gap}\n'
    path.write_text(f'text{gap},{gap}"label"\n{row}', encoding="utf-8")
    assert read_golden(path, {}) == [('money, "back"', "caf\u00e9")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "golden.csv cannot be used: No such file or directory$"),
        (b"", "it has no rows"),
        (b"text,label\n", "it has no rows"),
        (b"text,category\na,b\n", "row 1 has no text or no label"),
        (b"text,label\na,b\nc,\n", "row 2 has no text or no label"),
        (b"text,label\nc\n", "row 1 has no text or no label"),
        (b"text,label\nwell, hello,a\n", "row 1 has more columns than the header; quote its text"),
        (b'text,label\n"a,b\n', "unexpected end of data"),
        (b"text,label\n\xff,b\n", "invalid start byte"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    """The error has the path and what is wrong, so the gate fails with it."""
    path = tmp_path / "golden.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        read_golden(path, {})
    assert caught.value.reason == "GOLDEN_EXAMPLES"
    assert str(path) in str(caught.value)
