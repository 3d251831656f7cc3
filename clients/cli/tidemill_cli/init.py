"""`tidemill init`."""

import json
import re
import shlex
import shutil
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import ValidationError

from tidemill_cli.example_check import Summary, check_examples
from tidemill_cli.example_file import format_of, text_lines, without_compression
from tidemill_cli.failure import AlreadyThere, CannotWrite, WrongUsage
from tidemill_cli.options import AsJson
from tidemill_cli.output import print_json, say, stdout
from tidemill_cli.places import LabelColumn, TextColumn
from tidemill_core.counted import counted
from tidemill_core.durable import written_whole
from tidemill_core.plain_rules import plain_rule
from tidemill_core.settings import TASK_NAME, WORKSPACE_FILE, FilesSource, absolute_folder
from tidemill_core.shown import shown

app = typer.Typer(add_completion=False)
_EXAMPLE = (
    "Example: tidemill init support-desk --data tickets.csv --text-column message "
    "--label-column topic --task support"
)
_DATA_FOLDER = "data"

_TEMPLATE = """\
# A Tidemill workspace. `tidemill up` in this folder starts everything.
# The environment can set each of these as well: TIDEMILL_GRPC_PORT=50052.

[tasks.{task}]
# Predictions less confident than this are marked as abstained.
# abstain_below = 0.5

# The examples: CSV with a header line, JSON Lines or Parquet. There may be several sources.
[[tasks.{task}.sources]]
{source}

# Everything below is optional; these are the defaults.
# grpc_port = 50051               # the port for clients; write it above the first [section]
# [feedback]
# retrain_after = 1000            # new labeled examples that start a retraining
# [gate]
# max_accuracy_drop = 0.0         # by how much a candidate may be worse than the champion
# [monitoring]
# max_accuracy_drop = 0.03        # alert when accuracy falls by more
# max_p99_latency_ms = 50.0       # alert, or reject a version, when the slowest 1 % take longer
"""


@app.command(epilog=_EXAMPLE)
def init(
    folder: Annotated[Path, typer.Argument(help="Where to write the workspace.")] = Path(),
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            "--csv",
            metavar="FILE",
            help="Your examples: CSV, TSV, JSON Lines or Parquet; text may be compressed. Without "
            "this option, a small example is written.",
        ),
    ] = None,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    file_format: Annotated[
        Literal["csv", "jsonl", "parquet"] | None,
        typer.Option("--format", help="The file's format, if its name does not say it."),
    ] = None,
    delimiter: Annotated[
        str,
        typer.Option(
            help="The character between a CSV's columns; by default a tab in .tsv, else a comma.",
            show_default=False,
        ),
    ] = "",
    encoding: Annotated[
        str, typer.Option(help="The file's encoding. Unless it is UTF-8, a copy in UTF-8 is made.")
    ] = "utf-8",
    task: Annotated[str, typer.Option(help="A name for the classification problem.")] = "support",
    as_json: AsJson = False,
) -> None:
    """Write a new workspace for your own examples."""
    if not re.fullmatch(TASK_NAME, task):
        raise WrongUsage(
            f"{task!r} is not a task name: use up to 40 of a-z, 0-9 and _, starting with a letter"
        )
    try:
        absolute_folder(folder / "var")
    except ValueError as error:
        raise WrongUsage(str(error)) from error
    settings = folder / WORKSPACE_FILE
    if settings.exists():
        raise AlreadyThere(settings, "choose another folder, or add a task to it")
    source = _source(text_column, label_column, file_format, delimiter)
    try:
        if data is None:
            source = FilesSource(path=_write_example(folder))
            summary = check_examples(folder / source.path, source, "utf-8-sig")
        else:
            if data.exists() and not (data.is_file() or data.is_dir()):
                raise WrongUsage(f"{data} is a pipe or a device: save its content as a file first")
            codec = "utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding
            summary = check_examples(data, source, codec)
            source = source.model_copy(update={"path": _bring_in(data, folder, codec, source)})
        text = _TEMPLATE.format(task=task, source=_toml(source))
        with written_whole(settings) as staged:
            staged.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CannotWrite(folder, error) from error
    if as_json:
        counts = {"examples": summary.rows, "labels": summary.labels}
        print_json({"settings": str(settings), "task": task, **counts})
    else:
        _print_next(folder, task, summary)


def _source(
    text_column: str, label_column: str, file_format: str | None, delimiter: str
) -> FilesSource:
    """Return the settings for reading the examples; only the given options are set."""
    given = {"format": file_format, "delimiter": {"\\t": "\t"}.get(delimiter, delimiter)}
    try:
        return FilesSource.model_validate(
            {
                "path": "examples",
                "text_column": text_column,
                "label_column": label_column,
                **{name: value for name, value in given.items() if value},
            }
        )
    except ValidationError as error:
        wrong = error.errors()[0]
        option = str(wrong["loc"][-1]).replace("_", "-")
        raise WrongUsage(f"--{option} {wrong['input']!r}: {plain_rule(wrong['msg'])}") from error


def _write_example(folder: Path) -> str:
    """Write the example into the workspace, and return its path there."""
    target = folder / _DATA_FOLDER / "example.csv"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(resources.files("tidemill_cli").joinpath("example.csv").read_bytes())
    return f"{_DATA_FOLDER}/example.csv"


def _bring_in(file: Path, folder: Path, encoding: str, source: FilesSource) -> str:
    """Return the file's path in the workspace; a file from elsewhere is copied into it."""
    folder.mkdir(parents=True, exist_ok=True)
    is_utf8 = encoding == "utf-8-sig" or format_of(file, source.format) == "parquet"
    if is_utf8 and file.resolve().is_relative_to(folder.resolve()):
        return file.resolve().relative_to(folder.resolve()).as_posix()
    name = file.name if is_utf8 else without_compression(file)
    target = folder / _DATA_FOLDER / name
    if target.exists():
        raise AlreadyThere(target, "it is not overwritten")
    target.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(target) as staged:  # a second try finds no part of the first one
        if is_utf8:
            shutil.copyfile(file, staged)
        else:
            with staged.open("w", encoding="utf-8", newline="") as copy:
                copy.writelines(text_lines(file, encoding))
    return f"{_DATA_FOLDER}/{name}"


def _toml(source: FilesSource) -> str:
    """Return a source's settings in TOML, without those that are not set."""
    values = source.model_dump(mode="json", exclude_unset=True)
    return "\n".join(f"{name} = {_toml_string(value)}" for name, value in values.items())


def _toml_string(text: str) -> str:
    """Return a TOML basic string. TOML has all escapes of JSON, and needs one for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _quoted(text: str) -> str:
    """Return a text as a word of the shell, in the quotes that a person would write."""
    return f'"{text}"' if "'" in text and not set(text) & set('"$`\\!') else shlex.quote(text)


def _print_next(folder: Path, task: str, summary: Summary) -> None:
    found = f"{counted(summary.rows, 'example')} with {counted(summary.labels, 'label')}"
    say(f"wrote {folder / WORKSPACE_FILE}: {found}")
    if summary.others:
        say(f"left out, without a text or label or unreadable: {counted(summary.others, 'row')}")
    say("next:")
    text = " ".join(summary.first_text[:60].split())
    commands = [] if folder.resolve() == Path.cwd() else [f"cd {shlex.quote(str(folder))}"]
    commands += ["tidemill up", f"tidemill predict {task} {_quoted(text)}   # another terminal"]
    for command in commands:
        stdout().print(f"  {shown(command)}", soft_wrap=True)
