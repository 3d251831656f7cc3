"""The progress of long work, with and without a terminal."""

import os
import pty
import subprocess
import sys

import pytest

from tidemill_cli.progress import progress_view

WORK = """
from tidemill_cli.progress import progress_view
with progress_view() as show:
    show("support", 0.25, "epoch 1 of 4")
"""


def test_a_terminal_shows_a_bar() -> None:
    """The task's name, progress and step are next to a bar, and disappear at the end."""
    terminal, end = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    subprocess.run([sys.executable, "-c", WORK], stderr=end, env=environment, check=True)
    os.close(end)
    shown = os.read(terminal, 65536).decode()
    os.close(terminal)
    assert "support" in shown
    assert "━" in shown
    assert "25 %" in shown
    assert "epoch 1 of 4" in shown
    assert shown.rstrip("\r\n").endswith("\x1b[2K")


def test_elsewhere_it_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A log gets one line, not one for each look."""
    with progress_view() as show:
        show("support", 0.25, "epoch 1 of 4")
        show("support", 0.26, "epoch 1 of 4")
    assert capsys.readouterr().err == "support: 25 % epoch 1 of 4\n"
