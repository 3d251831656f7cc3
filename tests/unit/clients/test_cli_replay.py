"""The parts of `tidemill replay` that need no stack."""

import json
import os
from contextlib import chdir
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tidemill_cli.failure import WrongUsage
from tidemill_cli.replaying.dated_rows import Columns, DatedRow, read_rows
from tidemill_cli.replaying.days import Answer
from tidemill_cli.replaying.outcome import Judged, gain, periods
from tidemill_cli.replaying.page import headline, replay_page
from tidemill_cli.replaying.workspace import replay_settings
from tidemill_core.settings import Settings, load_settings
from tidemill_core.settings.stand_in import only_these_settings

COLUMNS = Columns("title", "label", "created")
FIRST, LAST = date(2011, 1, 1), date(2011, 1, 3)


def test_rows_are_sorted_and_cut_at_both_days(tmp_path: Path) -> None:
    """Rows before the first day train, and those up to the last day, included, are replayed."""
    path = _tsv(
        tmp_path,
        "2011-01-03T23:59:59Z\ta\tlast",
        "2010-12-31\ta\told",
        "2011-01-04\ta\tlater",
        "2011-01-01\tb\tfirst",
    )
    rows = read_rows(path, COLUMNS, FIRST, LAST)
    assert [row.text for row in rows.before] == ["old"]
    assert [row.text for row in rows.replayed] == ["first", "last"]
    days = [(day, len(some)) for day, some in rows.days()]
    assert days == [(date(2011, 1, 1), 1), (date(2011, 1, 2), 0), (date(2011, 1, 3), 1)]


def test_a_time_with_a_zone_belongs_to_its_day_in_utc(tmp_path: Path) -> None:
    """Half past midnight in Berlin is still the day before in UTC."""
    path = _tsv(tmp_path, "2011-01-01T00:30:00+01:00\ta\told", "2011-01-01\tb\tnew")
    rows = read_rows(path, COLUMNS, FIRST, LAST)
    assert [row.text for row in rows.before] == ["old"]


def test_quotes_in_a_tsv_are_characters(tmp_path: Path) -> None:
    """A title that begins with a quote does not swallow the lines after it."""
    path = _tsv(tmp_path, '2010-01-01\ta\t"Weak" fields', "2011-01-01\tb\tone", "2011-01-02\tb\t2")
    rows = read_rows(path, COLUMNS, FIRST, LAST)
    assert [row.text for row in (*rows.before, *rows.replayed)] == ['"Weak" fields', "one", "2"]


def test_padding_in_a_csv_is_not_part_of_a_field(tmp_path: Path) -> None:
    """Spaces, tabs and invisible characters around quotes are no part of a text or label."""
    path = tmp_path / "rows.csv"
    rows = ['"a, b" ,\t"fee"\t, 2010-01-01 ', '\u200e"c",\u00a0"fee",\u200b"2011-01-01"']
    path.write_text("\n".join(['title , "label", created', *rows]), encoding="utf-8")
    found = read_rows(path, COLUMNS, FIRST, LAST)
    assert [(row.text, row.label) for row in found.before] == [("a, b", "fee")]
    assert [(row.text, row.label) for row in found.replayed] == [("c", "fee")]


def test_rows_without_a_text_a_label_or_a_time_are_skipped_and_counted(tmp_path: Path) -> None:
    """Rows that cannot be replayed do not stop the others."""
    path = _tsv(
        tmp_path,
        "2010-01-01\ta\told",
        "2011-01-01\tb\tnew",
        "2011-01-01\t\tno label",
        "2011-01-01\tb\t  ",
        "someday\tb\tno time",
        "2011-01-01",
    )
    rows = read_rows(path, COLUMNS, FIRST, LAST)
    assert (len(rows.before), len(rows.replayed), rows.skipped) == (1, 1, 4)


@pytest.mark.parametrize(
    ("lines", "columns", "message"),
    [
        (["2011-01-01\ta\tnew"], COLUMNS, "no row before 2011-01-01 to train on"),
        (["2010-01-01\ta\told"], COLUMNS, "no row from 2011-01-01 to 2011-01-03 to replay"),
        (["1 May\ta\told"], COLUMNS, "'1 May' is not ISO 8601"),
        ([], Columns("text", "label", "created"), "no column 'text'; it has: created, label"),
    ],
)
def test_a_file_that_cannot_be_replayed_is_refused(
    tmp_path: Path, lines: list[str], columns: Columns, message: str
) -> None:
    """The error names what is missing."""
    with pytest.raises(WrongUsage, match=message):
        read_rows(_tsv(tmp_path, *lines), columns, FIRST, LAST)


def test_a_replay_takes_what_the_task_is_and_no_place_of_the_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alert receivers, the database and the trackers of the workspace stay out of a replay."""
    (tmp_path / "tidemill.toml").write_text(
        '[tasks.desk]\nsources = [{ path = "x.csv" }]\nmax_text_length = 99\napproval = true\n'
        "[feedback]\nretrain_after = 7\n[alerts.webhook]\nurl = 'http://127.0.0.1:9/hook'\n"
        "secret = 'a secret of 16 or more'\n"
    )
    monkeypatch.setenv("TIDEMILL_DATABASE_URL", "postgresql+psycopg://somewhere/else")
    monkeypatch.setenv("TIDEMILL_MONITORING__WINDOW_HOURS", "720")
    with chdir(tmp_path):
        found = replay_settings(load_settings(), "desk", 3, tmp_path / "replay")
    (tmp_path / "empty").mkdir()
    with chdir(tmp_path / "empty"), only_these_settings(found):
        replayed = load_settings()
    assert os.environ["TIDEMILL_MONITORING__WINDOW_HOURS"] == "720"
    assert replayed.tasks["desk"].max_text_length == 99
    assert replayed.tasks["desk"].training.seed == 3
    assert not replayed.tasks["desk"].approval
    assert (replayed.feedback.retrain_after, replayed.monitoring.window_hours) == (7, 720)
    assert replayed.alerts == Settings().alerts
    assert replayed.database_url == ""
    assert replayed.tracking.trackers == ()


def test_the_gain_is_paired() -> None:
    """Rows that both get right, or both wrong, widen the interval no further."""
    judged = [_judged(0, right, frozen) for right, frozen in [(True, False)] * 30]
    judged += [_judged(0, True, True) for _ in range(70)]
    found = gain(judged)
    assert found.points == pytest.approx(0.3)
    assert found.low == pytest.approx(0.3 - 1.959964 * 0.0458258, abs=1e-6)


@pytest.mark.parametrize(("days", "starts"), [(45, 45), (70, 10), (1000, 33)])
def test_periods_are_days_weeks_or_months(days: int, starts: int) -> None:
    """A longer replay is shown in longer periods, and every row is in one."""
    judged = [_judged(day, True, False) for day in range(days)]
    found = periods(judged)
    assert len(found) == starts
    assert sum(each.rows for each in found) == days


def test_the_page_needs_no_other_file_and_escapes_what_data_say() -> None:
    """The page has no script and no link, and shows a label of HTML as text."""
    page = replay_page(_outcome())
    assert "drift: 1 of 1, the first after 24 days; accuracy: none of 1" in page
    assert "&lt;b&gt;desk&lt;/b&gt;.csv" in page
    assert not any(word in page for word in ("<script", "http://", "https://", "<link", "src="))


def test_the_headline_names_both_accuracies_and_the_interval() -> None:
    """A manager reads one sentence: what was right, against what, and how sure that is."""
    assert headline(_outcome()) == (
        "Tidemill answered 80.0 % of 1,000 texts right. The first version alone would have "
        "answered 75.0 % right: +5.0 points (95 % interval +3.0 to +7.0). Versions that answered: "
        "2. Texts that people labeled: 50."
    )


def _tsv(folder: Path, *lines: str) -> Path:
    path = folder / "rows.tsv"
    path.write_text("\n".join(["created\tlabel\ttitle", *lines]) + "\n")
    return path


def _judged(day: int, right: bool, frozen: bool) -> Judged:
    row = DatedRow(datetime(2011, 1, 1, tzinfo=UTC) + timedelta(days=day), "text", "a")
    return Judged(Answer(row, "a" if right else "b", 1), frozen)


def _outcome() -> dict[str, Any]:
    times = {"create_time": "2011-01-01T00:00:00Z"}
    version = {
        "trained_because": "requested by first_model",
        "state": "CHAMPION",
        "reason": "passed",
        **times,
    }
    figures = {"accuracy": 0.8, "frozen_accuracy": 0.75}
    values = {
        "data": "<b>desk</b>.csv",
        "task": "desk",
        "train_before": "2011-01-01",
        "until": "2011-02-28",
        "seed": 0,
        "train_rows": 2000,
        "skipped_rows": 0,
        "rows": 1000,
        "unanswered": 0,
        **figures,
        "gain": {"points": 0.05, "low": 0.03, "high": 0.07},
        "periods": [
            {"start": "2011-01-01", "rows": 500, **figures},
            {"start": "2011-02-01", "rows": 500, **figures},
        ],
        "versions": [
            {"model_version": 1, **version, "rows": 400, **figures},
            {"model_version": 2, **version, "rows": 600, **figures},
        ],
        "alerts": [{"kind": "drift", **times, "resolve_time": None, "message": "labels drifted"}],
        "accuracy_reports": [
            {
                "verdict": "OK",
                "accuracy_low": 0.7,
                "accuracy_high": 0.9,
                "true_accuracy": 0.8,
                **times,
            }
        ],
        "drift_reports": [
            {"verdict": "ALERT", "drifted": ["label"], "create_time": "2011-01-25T00:00:00Z"}
        ],
        "feedback": {"corrections": 30, "mistakes": 1, "confirmations": 8},
        "labels": {"AUDIT": 10, "UNCERTAIN": 40},
        "seconds": 90.0,
        "night_seconds": 60.0,
    }
    return dict(json.loads(json.dumps(values)))
