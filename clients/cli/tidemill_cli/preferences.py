"""`tidemill preferences`."""

import sys
from datetime import UTC
from pathlib import Path
from typing import Annotated, Any

import typer

from tidemill.v1 import feedback_service_pb2 as pb
from tidemill_cli.connection import connected, current_user
from tidemill_cli.dataset_files import require_writable
from tidemill_cli.failure import AlreadyThere, CannotWrite, CommandFailed
from tidemill_cli.listing import CALL_SECONDS, Columns, collect, print_list, print_one
from tidemill_cli.local import require_extras
from tidemill_cli.options import Address, AsJson, Limit, OnlyTask, group
from tidemill_cli.output import percent, shortened
from tidemill_cli.preference_export import Format, rows_by_split, write_export
from tidemill_cli.preference_statistics import Statistics, statistics_of
from tidemill_cli.tasks import the_task
from tidemill_client import TidemillClient
from tidemill_core.counted import counted
from tidemill_core.domain import preference as domain

PairTask = Annotated[
    str | None,
    typer.Option(
        "--task",
        help="The task, or '' for none; not needed if there is only one.",
        show_default=False,
    ),
]

app = group("tidemill preferences export --format jsonl --out pairs")


@app.command(
    epilog='Example: tidemill preferences submit --prompt "Where is my card?" '
    '--chosen "It was sent on Monday." --rejected "No idea."'
)
def submit(
    prompt: Annotated[str, typer.Option(help="The question.")],
    chosen: Annotated[str, typer.Option(help="The better answer.")],
    rejected: Annotated[str, typer.Option(help="The other answer.")],
    task: PairTask = None,
    annotator: Annotated[
        str, typer.Option(help="Who says so; you by default.", show_default=False)
    ] = "",
    reason: Annotated[str, typer.Option(help="Why.", show_default=False)] = "",
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Say which of two answers to a prompt is better."""
    with connected(address) as client:
        request = pb.SubmitPreferenceRequest(
            task=the_task(client, "", address) if task is None else task,
            prompt=prompt,
            chosen=chosen,
            rejected=rejected,
            annotator=annotator or current_user(),
            reason=reason,
        )
        stored = client.feedback.SubmitPreference(request, timeout=CALL_SECONDS).preference
    fields = {
        "stored": stored.preference_id,
        "task": stored.task,
        "annotator": stored.annotator,
        "replaces": stored.replaced_preference_id,
    }
    print_one(stored, fields, as_json)


@app.command(
    epilog='Example: tidemill preferences propose --prompt "Where is my card?" '
    '--first "It was sent on Monday." --second "No idea."'
)
def propose(
    prompt: Annotated[str, typer.Option(help="The question.")],
    first: Annotated[str, typer.Option(help="One answer.")],
    second: Annotated[str, typer.Option(help="The other answer.")],
    task: PairTask = None,
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Store two answers to a prompt for people to judge in the console."""
    with connected(address) as client:
        request = pb.SubmitPreferencePairRequest(
            task=the_task(client, "", address) if task is None else task,
            prompt=prompt,
            first=first,
            second=second,
        )
        stored = client.feedback.SubmitPreferencePair(request, timeout=CALL_SECONDS).pair
    fields = {
        "stored": stored.pair_id,
        "task": stored.task,
        "judgements": stored.judgement_count,
    }
    print_one(stored, fields, as_json)


@app.command("list", epilog="Example: tidemill preferences list --task support --json")
def list_preferences(
    task: OnlyTask = "", limit: Limit = 20, address: Address = "", as_json: AsJson = False
) -> None:
    """List judgements."""
    with connected(address) as client:
        found = _judgements(client, task, limit)
    columns: Columns = {
        "stored (UTC)": "create_time",
        "task": "task",
        "prompt": lambda judgement: shortened(judgement.prompt),
        "chosen": lambda judgement: shortened(judgement.chosen),
        "rejected": lambda judgement: shortened(judgement.rejected),
        "annotator": "annotator",
        "reason": "reason",
    }
    print_list(found, columns, "no judgements yet", as_json)


@app.command(epilog="Example: tidemill preferences stats --task support")
def stats(task: OnlyTask = "", address: Address = "", as_json: AsJson = False) -> None:
    """Show how far annotators agree."""
    require_extras()
    pairs, judgements = _pairs(task, address)
    found = statistics_of(pairs, judgements)
    print_one(found, _described(found), as_json)


@app.command(epilog="Example: tidemill preferences export --format parquet --out pairs")
def export(
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder for the files.")],
    file_format: Annotated[
        Format,
        typer.Option("--format", help="The files' format; parquet needs the extra [jobs]."),
    ] = Format.JSONL,
    task: OnlyTask = "",
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Write the pairs as TRL reads them: prompt, chosen, rejected.

    The majority of a pair's annotators decides; ties are left out. Train, validation and test get
    a file each, if they have rows; the hash of a prompt decides which file it is in.
    """
    if file_format is Format.PARQUET:
        require_extras()
    folder = out.absolute()
    if folder.exists():
        raise AlreadyThere(out, "name a new folder")
    above = next(each for each in folder.parents if each.exists())
    require_writable(above / folder.relative_to(above).parts[0])
    pairs, _ = _pairs(task, address)
    rows = rows_by_split(pairs)
    exported = sum(map(len, rows.values()))
    ties = len(pairs) - exported
    if not exported:
        raise CommandFailed(f"nothing to export; ties: {ties} of {counted(len(pairs), 'pair')}")
    try:
        files = write_export(folder, rows, file_format)
    except OSError as error:
        raise CannotWrite(out, error) from error
    counts, names = {str(split): len(of) for split, of in rows.items()}, list(map(str, files))
    document = {"files": names, "rows": counts, "ties": ties}
    print_one(document, {**counts, "ties left out": ties, "files": names}, as_json)


def _judgements(client: TidemillClient, task: str, limit: int) -> list[pb.Preference]:
    request = pb.ListPreferencesRequest(task=task)
    return collect(client.feedback.ListPreferences, request, limit)


def _pairs(task: str, address: str) -> tuple[list[domain.JudgedPair], int]:
    """Return the judged pairs, and the number of judgements."""
    with connected(address) as client:
        found = _judgements(client, task, sys.maxsize)
    return domain.pairs_of(map(_from_message, reversed(found))), len(found)


def _from_message(message: pb.Preference) -> domain.Preference:
    return domain.Preference(
        preference_id=message.preference_id,
        task=message.task,
        prompt=message.prompt,
        chosen=message.chosen,
        rejected=message.rejected,
        annotator=message.annotator,
        reason=message.reason,
        request_id="",  # the server does not return it
        create_time=message.create_time.ToDatetime(tzinfo=UTC),
        replaced_preference_id=message.replaced_preference_id,
    )


def _described(found: Statistics) -> dict[str, Any]:
    agreement = "" if found.agreement is None else percent(found.agreement)
    return {
        "judgements": found.judgements,
        "judgements that count": found.votes,
        "annotators": found.annotators,
        "prompts": found.prompts,
        "pairs": found.pairs,
        "ties": found.ties,
        "judged by several": found.judged_by_several,
        "they agree on": f"{found.agreed} ({agreement})" if agreement else "",
        "they disagree on": found.disagreed if agreement else "",
        "Krippendorff's alpha": "not known yet" if found.alpha is None else f"{found.alpha:.3f}",
    }
