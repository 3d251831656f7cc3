"""The output of commands on all kinds of terminals, with other people's texts."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.text import Text

from tidemill_cli.main import run
from tidemill_cli.output import (
    complain,
    print_fields,
    print_json,
    print_table,
    say,
)
from tidemill_cli.progress import progress_view
from tidemill_core.shown import shown, shown_lines

HOSTILE = "a\x1b[2Jb\rc\x9b31md\u202ee\u2066f\u200bg\ufeffh\U000e0041i\x7fj\tk[red]l[/red]:smile:"
SHOWN = r"a\x1b[2Jb\rc\x9b31md\u202ee\u2066f\u200bg\ufeffh\U000e0041i\x7fj\tk[red]l[/red]:smile:"


class Terminal(io.StringIO):
    """A terminal that keeps its input."""

    def isatty(self) -> bool:
        """Return True."""
        return True


def test_controls_and_what_turns_text_around_are_shown_as_escapes() -> None:
    """Words of any language, and emoji of several parts, are unchanged."""
    assert shown(HOSTILE) == SHOWN
    assert shown("a\nb\u2028c\udc80") == r"a\nb\u2028c\udc80"
    assert shown_lines("a\nb\r\n") == "a\nb\\r\n"
    ordinary = "déjà 漢字 שלום"
    ordinary += "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"  # a joiner in a word
    ordinary += "\U0001f468\u200d\U0001f469\u200d\U0001f467\\"  # and in an emoji
    assert shown(ordinary) == ordinary


def test_nothing_that_is_printed_reaches_a_terminal_raw(capsys: pytest.CaptureFixture[str]) -> None:
    """Tables, fields, notes, errors and progress escape a hostile text."""
    print_table(("plain", HOSTILE), [(HOSTILE, [HOSTILE, "second"])], empty="")
    print_fields({HOSTILE: HOSTILE, "list": [HOSTILE]})
    print_table(("x",), [], empty=HOSTILE)
    say(HOSTILE)
    complain(HOSTILE)
    with progress_view() as show:
        show(HOSTILE, 0.5, HOSTILE)
    printed = capsys.readouterr()
    everything = printed.out + printed.err
    assert everything.count(SHOWN) == 11
    assert shown_lines(everything) == everything


def test_a_value_may_not_pretend_to_be_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    """A line end in a value is escaped; only our own lists have several lines."""
    print_table(("label", "text"), [("a", "b\nc  forged")], empty="")
    print_fields({"files": ["one", "two"], "styled": Text("ok")})
    lines = [line.rstrip() for line in capsys.readouterr().out.split("\n")]
    assert lines[1:] == [
        r"a      b\nc  forged",
        "files   one",
        "        two",
        "styled  ok",
        "",
    ]


def test_ids_stay_whole_in_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only prose is folded, and never narrower than 24 columns; no line ends in spaces."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    run_id, state, reason = "3dfd36f4217a4d4a864d6e51ab050bd7", "SUCCEEDED" * 4, "why not " * 9
    print_table(
        ("run id", "state", "time (UTC)", "because"),
        [(run_id, state, "2026-11-29 19:57:03", reason), ("1", "", "", "")],
        empty="",
    )
    lines = re.sub(r"\x1b\[\d*m", "", terminal.getvalue()).split("\n")
    assert f"{run_id}  {state}  2026-11-29 19:57:03  why not why not why not" in lines
    assert "1" in lines
    assert lines == [line.rstrip() for line in lines]


def test_a_program_reads_one_line_for_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal nothing is folded, and no line ends in spaces."""
    print_table(("text", "label"), [("long " * 99, ""), ("a", "refund")], empty="")
    print_fields({"a": "x", "longer": "y"})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines == [line.rstrip() for line in lines]


def test_json_has_the_same_values_without_raw_controls(capsys: pytest.CaptureFixture[str]) -> None:
    """Programs read the original values; a terminal shows JSON's own escapes."""
    print_json({"text": HOSTILE, "half": "\ud800", "words": "d\u00e9j\u00e0"})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"text": HOSTILE, "half": "\ud800", "words": "d\u00e9j\u00e0"}
    assert shown_lines(printed) == printed
    assert "d\u00e9j\u00e0" in printed


def test_progress_bars_show_names_and_messages_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a terminal, markup in a name or a message is plain text."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "200")
    with progress_view() as show:
        show("[red]x[/red]", 0.5, "\x1b[31m[bold]\\")
    assert "[red]x[/red]" in terminal.getvalue()
    assert r"\x1b[31m[bold]" in terminal.getvalue()
    assert "\x1b[31m[" not in terminal.getvalue()


PROGRAM = """
import sys
from tidemill_cli.output import *
from tidemill_cli.main import run
adapt_to_terminal(sys.stdout, sys.stderr)
print_table(("label", ""), [("d\u00e9j\u00e0 \u2192 \u6f22", bar(0.55, 10))], empty="")
print_fields({"a": "\u2026"})
stdout().rule("x \u00b7 y")
print_json({"a": "d\u00e9j\u00e0 \U0001f600"})
say("d\u00e9j\u00e0")
for command in ([], ["init"], ["label"]):
    assert run([*command, "--help"]) == 0
sys.exit(run(["init", "--data", "d\u00e9j\u00e0.csv"]))
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_a_terminal_without_utf_8_gets_what_it_can_show(encoding: str, tmp_path: Path) -> None:
    """Borders, bars and arrows become ASCII, other characters escapes; nothing fails."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONIOENCODING": encoding, "NO_COLOR": "1"},
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    printed, said = done.stdout.decode(encoding), done.stderr.decode(encoding)
    assert (done.returncode, "Traceback" in said) == (2, False), said
    assert "cannot be read" in said
    document = printed[printed.index("{") : printed.index("}") + 1]
    assert json.loads(document) == {"a": "d\u00e9j\u00e0 \U0001f600"}
    if encoding == "ascii":
        assert r"d\xe9j\xe0 -> \u6f22  #####" in printed
        assert "- x - y -" in printed or "x - y --" in printed
        assert "+- Commands -" in printed or "| init" in printed
    if encoding == "utf-8":
        assert "d\u00e9j\u00e0 \u2192 \u6f22  \u2588\u2588\u2588\u2588\u2588\u258c" in printed


def test_an_error_shows_an_argument_as_it_is(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file's name may have any characters and is only shown."""
    name = "x\x1b[31m[red]\u202e.csv"
    assert workspace.is_dir()
    assert run(["init", "--data", name]) == 2
    assert r"x\x1b[31m[red]\u202e.csv cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["feedback", "submit", "--n\u202eo"],
        ["n\u202eo"],
        ["--n\u202eo"],
        ["jobs", "run", "r", "--n\x9bo"],
    ],
)
def test_wrong_usage_shows_arguments_as_escapes(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The errors of the command line's library are safe on a terminal, too."""
    assert run(arguments) == 2
    error = capsys.readouterr().err
    assert shown_lines(error) == error
    assert "\\u202eo" in error or "\\x9bo" in error
