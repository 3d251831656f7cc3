"""`tidemill replay` through a real stack."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import psutil
import pytest

from tests.plugins.waiting import wait_until

WORDS = {
    "pay": "transfer money account wire",
    "card": "plastic pin chip magnet",
    "loan": "borrow rate house mortgage",
}
Start = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Start the replay of three days, 40 rows each, after a month of 200 rows.

    Its temporary workspace is in the folder `temporary`.
    """
    chance = random.Random(0)
    lines = ["when,topic,message"]
    for number in range(200 + 120):
        topic = list(WORDS)[number % 3]
        words = chance.sample(WORDS[topic].split(), 2)
        days = number // 7 if number < 200 else 31 + (number - 200) // 40
        lines.append(f"{date(2020, 1, 1) + timedelta(days)},{topic},{' '.join(words)} {number}")
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "temporary").mkdir()
    command = [sys.executable, "-m", "tidemill_cli.main", "replay", "rows.csv", "--task", "desk"]
    command += ["--text-column", "message", "--label-column", "topic", "--time-column", "when"]
    command += ["--train-before", "2020-02-01", "--until", "2020-02-03", "--json"]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    return lambda: subprocess.Popen(
        [*command, "--html", "page.html"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_three_days_are_replayed_through_a_real_stack(start: Start, tmp_path: Path) -> None:
    """Every row is answered under the simulated clock, and nothing is left but the page."""
    with start() as running:
        output, errors = running.communicate(timeout=240)
    assert running.returncode == 0, errors
    found = json.loads(output)
    assert (found["train_rows"], found["rows"], found["unanswered"]) == (200, 120, 0)
    assert found["accuracy"] == found["frozen_accuracy"] > 0.9
    assert [period["start"] for period in found["periods"]] == [
        "2020-02-01",
        "2020-02-02",
        "2020-02-03",
    ]
    [version] = found["versions"]
    assert (version["trained_because"], version["rows"]) == ("requested by first_model", 120)
    assert version["create_time"] == "2020-02-01T00:00:00Z"
    assert 1 <= sum(found["labels"].values()) <= 0.05 * 120
    assert {report["create_time"][:10] for report in found["accuracy_reports"]} <= {
        "2020-02-02",
        "2020-02-03",
        "2020-02-04",
    }
    assert found["accuracy_reports"]
    assert "Accuracy over time" in (tmp_path / "page.html").read_text()
    assert not list((tmp_path / "temporary").glob("tidemill-*"))


def test_ctrl_c_leaves_no_process_and_no_folder(start: Start, tmp_path: Path) -> None:
    """Ctrl-C ends Triton, the server and the jobs, and removes the temporary workspace."""
    with start() as running:
        parent = psutil.Process(running.pid)
        wait_until(lambda: len(parent.children()) >= 3, "the stack starts", 60)
        children = parent.children(recursive=True)
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)
    assert running.returncode == 130
    assert not [child for child in children if child.is_running()]
    assert not list((tmp_path / "temporary").glob("tidemill-*"))
