"""`tidemill replay`."""

import random
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from tidemill_cli.failure import WrongUsage
from tidemill_cli.html_file import Html, write_page
from tidemill_cli.local import require_extras, require_task
from tidemill_cli.options import AsJson
from tidemill_cli.output import percent, print_fields, print_json, say
from tidemill_cli.places import LabelColumn, TextColumn
from tidemill_cli.progress import ShowProgress, progress_view
from tidemill_cli.replaying.dated_rows import Columns, DatedRows, read_rows
from tidemill_core.errors import ConfigurationError
from tidemill_core.private_files import keep_files_private
from tidemill_core.settings import Settings, load_settings
from tidemill_core.triton.embedded import unsupported_reason

app = typer.Typer(add_completion=False)
_EXAMPLE = (
    "Example: tidemill replay tickets.csv --task support --train-before 2024-01-01 "
    "--until 2024-12-31 --html replay.html"
)


@app.command(epilog=_EXAMPLE)
def replay(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="CSV, or TSV in a file named .tsv, with a header line; .gz, .bz2, .xz or .zst may "
            "follow.",
        ),
    ],
    task: Annotated[
        str, typer.Option(help="The task; its settings are those of this folder's tidemill.toml.")
    ],
    train_before: Annotated[
        datetime,
        typer.Option(
            formats=["%Y-%m-%d"],
            metavar="DATE",
            help="The first day to replay; the first model learns from all rows before it.",
        ),
    ],
    until: Annotated[
        datetime,
        typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="The last day to replay."),
    ],
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    time_column: Annotated[
        str, typer.Option(help="The column with the time, in ISO 8601; without a zone, in UTC.")
    ] = "time",
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="The seed of people and trainings.")
    ] = 0,
    html: Html = None,
    as_json: AsJson = False,
) -> None:
    """Replay a dated dataset through Tidemill: how accurate would it have stayed?

    The first model learns from the rows before a day. The rows from that day on are then sent to a
    real server in the order of their times, under a simulated clock, with simulated users and
    annotators, and the jobs run at night. Everything runs in a temporary workspace with the
    settings of this folder's tidemill.toml; nothing reaches the workspace itself, or its alerts'
    receivers.
    """
    require_extras()
    keep_files_private()
    if (reason := unsupported_reason()) is not None:
        raise ConfigurationError(reason)
    settings = load_settings()
    if settings.tasks:
        require_task(settings, task)
        if settings.tasks[task].kind == "preference":
            raise WrongUsage(f"{task} has preference pairs: only labeled texts can be replayed")
    first, last = train_before.date(), until.date()
    if last < first:
        raise WrongUsage(f"--until {last} is before --train-before {first}")
    rows = read_rows(data, Columns(text_column, label_column, time_column), first, last)
    start = time.monotonic()
    with progress_view() as show:
        found = _replayed(settings, task, seed, rows, show)
    outcome = {
        "data": data.name,
        "task": task,
        "train_before": str(first),
        "until": str(last),
        "seed": seed,
        "train_rows": len(rows.before),
        "skipped_rows": rows.skipped,
        **found,
        "seconds": time.monotonic() - start,
    }
    _show(outcome, html, as_json)


def _replayed(
    settings: Settings, task: str, seed: int, rows: DatedRows, show: ShowProgress
) -> dict[str, Any]:
    # Their imports take half a second: wrong usage is shown before.
    from tidemill_cli.replaying.days import Answer, Replay
    from tidemill_cli.replaying.frozen import frozen_labels
    from tidemill_cli.replaying.outcome import Judged, outcome_of
    from tidemill_cli.replaying.people import Annotators, Users
    from tidemill_cli.replaying.stack import replay_stack

    days = rows.days()
    midnight = _midnight(days[0][0])
    labels = sorted({row.label for row in (*rows.before, *rows.replayed)})
    people = random.Random(seed)  # noqa: S311 -- not for security
    say("starting Triton, a server and the jobs in a temporary workspace; Ctrl-C stops them")
    with replay_stack(settings, task, seed, rows.before, midnight) as stack:
        replayed = Replay(
            stack, task, Users(people, labels), Annotators(task, _truth(settings, task, rows))
        )
        show("replay", 0.0, "training the first version")
        replayed.first_night(midnight)
        frozen = frozen_labels(stack.settings, task, [row.text for row in rows.replayed])
        answers: list[Answer] = []
        for number, (day, some) in enumerate(days):
            done, right = number / len(days), sum(each.is_right for each in answers)
            figure = f"{percent(right / len(answers))} right so far" if answers else "first day"
            show("replay", done, f"{day}: {figure}")
            answers += replayed.day(day, some)
        judged = [
            Judged(answer, label == answer.row.label)
            for answer, label in zip(answers, frozen, strict=True)
        ]
        return {**outcome_of(replayed, judged), "night_seconds": replayed.night_seconds}


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _truth(settings: Settings, task: str, rows: DatedRows) -> dict[str, str]:
    """Return the true labels by text, in the form in which annotators see it."""
    from tidemill_core.text_repair import TextRepair

    redact = settings.tasks[task].redact if task in settings.tasks else []
    repaired = TextRepair(redact=tuple(redact))
    return {text: row.label for row in rows.replayed for text in (row.text, repaired(row.text))}


def _show(outcome: dict[str, Any], html: Path | None, as_json: bool) -> None:
    if as_json:
        print_json(outcome)
    else:
        _print(outcome)
    if html is not None:  # last, because it may fail
        from tidemill_cli.replaying.page import replay_page

        write_page(html, replay_page(outcome))


def _print(outcome: dict[str, Any]) -> None:
    labels, promoted = outcome["labels"], [v for v in outcome["versions"] if v["rows"]]
    print_fields(
        {
            "task": outcome["task"],
            "rows": outcome["rows"],
            "accuracy": percent(outcome["accuracy"]),
            "accuracy, first version": percent(outcome["frozen_accuracy"]),
            "versions": f"{len(promoted)} answered, of {len(outcome['versions'])} trained",
            "alerts": len(outcome["alerts"]),
            "labels by people": sum(labels.values()),
            "corrections by users": outcome["feedback"].get("corrections", 0),
            "seconds": round(outcome["seconds"]),
        }
    )
