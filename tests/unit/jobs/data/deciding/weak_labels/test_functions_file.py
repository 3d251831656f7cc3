"""Files of labeling functions."""

import re
from pathlib import Path

import pytest

from tidemill_core.errors import DataError
from tidemill_jobs.data.deciding.weak_labels.functions_file import load_functions_file

HEAD = "from tidemill_jobs.labeling_functions import labeling_function\n"
PLAIN = "@labeling_function needs a plain function of one text"
REFUND = '@labeling_function\ndef refund(text):\n    return "refund"\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of the file, which each test writes."""
    return tmp_path / "labeling_functions.py"


def test_functions_are_found_in_their_order(path: Path) -> None:
    """Decorated functions are found in order and stay callable."""
    cached = (
        "import functools\n@labeling_function\n@functools.cache\ndef b(text):\n    return text\n"
    )
    path.write_text(f"{HEAD}def helper():\n    pass\n{REFUND}{cached}", encoding="utf-8")
    file = load_functions_file(path)
    assert [(each.name, each.line) for each in file.functions] == [("refund", 4), ("b", 8)]
    assert [each("x") for each in file.functions] == ["refund", "x"]


def test_the_hash_is_the_contents(path: Path) -> None:
    """Another rule in a file of the same size has another hash and is run."""
    path.write_text(HEAD + REFUND, encoding="utf-8")
    first = load_functions_file(path)
    path.write_text((HEAD + REFUND).replace('"refund"', '"return"'), encoding="utf-8")
    second = load_functions_file(path)
    assert first.sha256 != second.sha256
    assert second.functions[0]("x") == "return"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "py cannot be read: No such file or directory; fix the task's setting"),
        ("", "py has no labeling function; put @labeling_function"),
        ("def refund(text):\n    pass\n", "py has no labeling function"),
        (f"{HEAD}def broken(:\n", "py:2 is not Python: invalid syntax"),
        ("text = '\xff'\n", "py:1 is not Python"),
        ("a\x00b", "py:1 is not Python|py:1 fails: ValueError"),
        (f"{HEAD}\n1 / 0\n", "py:3 fails: ZeroDivisionError: division by zero"),
        ("import no_such_module\n", "py:1 fails: ModuleNotFoundError"),
        ("raise SystemExit(3)\n", "py:1 fails: SystemExit: 3"),
        (f"{HEAD}labeling_function('refund')\n", f"py:2 fails: TypeError: {PLAIN}"),
        (f"{HEAD}@labeling_function\nclass A:\n    pass\n", f"py:2 fails: TypeError: {PLAIN}"),
        (f"{HEAD}@labeling_function\ndef a():\n    pass\n", f"py:2 fails: TypeError: {PLAIN}"),
        (f"{HEAD}@labeling_function\nasync def a(text):\n    pass\n", PLAIN),
        (f"{HEAD}@labeling_function\ndef a(text):\n    yield text\n", PLAIN),
        (f"{HEAD}@labeling_function\nasync def a(text):\n    yield text\n", PLAIN),
        (f"{HEAD}while True:\n    pass\n", r"py:[23] fails: TookTooLong: it took over 0\.2 s"),
        (
            f"{HEAD}try:\n    while True:\n        pass\nexcept Exception:\n    pass\n",
            r"py:[34] fails: TookTooLong: it took over 0\.2 s",
        ),
        (HEAD + REFUND + REFUND, "py:5 is named 'refund', like the .* in line 2; rename one"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(path: Path, content: str | None, told: str) -> None:
    """The error has the line, the problem and the cure."""
    if content is not None:
        path.write_text(content, encoding="latin-1")
    with pytest.raises(DataError) as caught:
        load_functions_file(path, seconds=0.2 if content and "while" in content else 600)
    assert caught.value.reason == "LABELING_FILE_UNUSABLE"
    assert str(caught.value).startswith(str(path))
    assert re.search(told, str(caught.value))
