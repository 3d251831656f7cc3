"""`tidemill init`."""

import json
import re
import shlex
import shutil
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from tidemill_cli.csv_check import CsvSummary, check_csv
from tidemill_cli.failure import WRONG_USAGE, CommandFailed
from tidemill_cli.output import AsJson, print_json, say, stdout
from tidemill_core.settings import TASK_NAME, WORKSPACE_FILE

app = typer.Typer(add_completion=False)
_EXAMPLE = (
    "Example: tidemill init support-desk --csv tickets.csv --text-column message "
    "--label-column topic --task support"
)
_DATA_FOLDER = "data"

_TEMPLATE = """\
# A Tidemill workspace. `tidemill up` in this folder starts everything.
# Each setting can also come from the environment: TIDEMILL_GRPC_PORT=50052.

[tasks.{task}]
# Predictions less confident than this are marked as abstained.
# abstain_below = 0.5

# Where the examples come from: a CSV with a header line. There may be several.
[[tasks.{task}.sources]]
path = {path}
text_column = {text_column}
label_column = {label_column}

# Everything below is optional; these are the defaults.
# grpc_port = 50051               # what clients connect to; write it above the first [section]
# [feedback]
# retrain_after = 1000            # new labelled examples that start a retraining
# [gate]
# max_accuracy_drop = 0.0         # a candidate may not be worse than the champion by more
# [monitoring]
# max_accuracy_drop = 0.03        # alert when accuracy falls by more
# max_p99_latency_ms = 50.0       # alert when the slowest hundredth takes longer
"""


@app.command(epilog=_EXAMPLE)
def init(
    folder: Annotated[Path, typer.Argument(help="Where to write the workspace.")] = Path(),
    csv: Annotated[
        Path | None,
        typer.Option(help="Your examples; without it, a small example is written."),
    ] = None,
    text_column: Annotated[str, typer.Option(help="The CSV's column with the text.")] = "text",
    label_column: Annotated[str, typer.Option(help="The CSV's column with the label.")] = "label",
    task: Annotated[str, typer.Option(help="What to call the classification problem.")] = "support",
    as_json: AsJson = False,
) -> None:
    """Write a new workspace for your own CSV."""
    if not re.fullmatch(TASK_NAME, task):
        raise CommandFailed(
            f"{task!r} is not a task name: use up to 40 of a-z, 0-9 and _, a letter first",
            WRONG_USAGE,
        )
    settings = folder / WORKSPACE_FILE
    if settings.exists():
        raise CommandFailed(
            f"{settings} is there already: choose another folder, or add a task to it", WRONG_USAGE
        )
    if csv is None:
        summary, source = _write_example(folder)
        text_column, label_column = "text", "label"
    else:
        summary = check_csv(csv, text_column, label_column)
        source = _bring_in(csv, folder)
    values = {"path": source.as_posix(), "text_column": text_column, "label_column": label_column}
    quoted = {name: _toml_string(value) for name, value in values.items()}
    settings.write_text(_TEMPLATE.format(task=task, **quoted), encoding="utf-8")
    if as_json:
        counts = {"examples": summary.rows, "labels": summary.labels}
        print_json({"settings": str(settings), "task": task, **counts})
    else:
        _print_next(folder, task, summary)


def _write_example(folder: Path) -> tuple[CsvSummary, Path]:
    source = Path(_DATA_FOLDER) / "example.csv"
    target = folder / source
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(resources.files("tidemill_cli").joinpath("example.csv").read_bytes())
    return check_csv(target, "text", "label"), source


def _bring_in(csv: Path, folder: Path) -> Path:
    """The CSV's path as seen from the workspace; one that lies elsewhere is copied into it."""
    folder.mkdir(parents=True, exist_ok=True)
    if csv.resolve().is_relative_to(folder.resolve()):
        return csv.resolve().relative_to(folder.resolve())
    source = Path(_DATA_FOLDER) / csv.name
    target = folder / source
    if target.exists():
        raise CommandFailed(f"{target} is there already: it is not overwritten", WRONG_USAGE)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(csv, target)
    return source


def _toml_string(text: str) -> str:
    """A TOML basic string; JSON's escapes are among TOML's."""
    return json.dumps(text, ensure_ascii=False)


def _print_next(folder: Path, task: str, summary: CsvSummary) -> None:
    say(f"wrote {folder / WORKSPACE_FILE}: {summary.rows} examples with {summary.labels} labels")
    say("next:")
    text = summary.first_text if len(summary.first_text) <= 60 else summary.first_text[:60]
    commands = [] if folder.resolve() == Path.cwd() else [f"cd {shlex.quote(str(folder))}"]
    commands += ["tidemill up", f"tidemill predict {task} {shlex.quote(text)}   # another terminal"]
    for command in commands:
        stdout().print(f"  {command}")
