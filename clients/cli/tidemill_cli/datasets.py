"""`tidemill datasets`."""

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidemill.v1 import dataset_service_pb2 as pb
from tidemill_cli.connection import connected
from tidemill_cli.dataset_description import (
    Description,
    from_folder,
    from_message,
    print_description,
)
from tidemill_cli.dataset_difference import compare, print_difference
from tidemill_cli.dataset_files import (
    EXPORTS,
    ExportPlace,
    export_rows,
    require_suffix,
)
from tidemill_cli.dataset_page import page
from tidemill_cli.dataset_rebuild import rebuilt
from tidemill_cli.failure import CommandFailed, WrongUsage
from tidemill_cli.html_file import Html, show_found
from tidemill_cli.listing import CALL_SECONDS, Columns, collect, print_list, print_one
from tidemill_cli.local import require_extras, workspace_settings
from tidemill_cli.messages import to_json
from tidemill_cli.options import LARGEST, Address, AsJson, Limit, OnlyTask, group
from tidemill_cli.output import print_json, print_table, say
from tidemill_cli.workspace_storage import last_build_time
from tidemill_core.clock import system_clock
from tidemill_core.counted import counted
from tidemill_core.dataset_folder import build_time, find_version, read_manifest, version_folders
from tidemill_core.domain.split import Split
from tidemill_core.settings.times import MOST_DAYS

if TYPE_CHECKING:
    from tidemill_core.dataset_copies import DatasetCopies

app = group("tidemill datasets list --task support")

_EMPTY = "no dataset versions yet; `tidemill jobs run build_dataset` builds one"

Version = Annotated[str, typer.Argument(help="The id, or its first 8 or more characters.")]
Catalog = Annotated[
    str,
    typer.Option(
        envvar="TIDEMILL_ADDRESS",
        metavar="HOST:PORT",
        help="A server whose catalog to ask; without it, this workspace's files are read.",
        show_default=False,
    ),
]


@app.command("list", epilog="Example: tidemill datasets list --task support --json")
def list_versions(
    task: OnlyTask = "", limit: Limit = 20, address: Address = "", as_json: AsJson = False
) -> None:
    """List dataset versions."""
    with connected(address) as client:
        request = pb.ListDatasetVersionsRequest(task=task)
        found = collect(client.datasets.ListDatasetVersions, request, limit)
    columns: Columns = {
        "dataset version": lambda version: version.dataset_version[:12],
        "task": "task",
        "rows": lambda version: sum(version.row_counts.values()),
        "labels": lambda version: len(version.label_counts),
        "left out": lambda version: sum(version.quarantine_counts.values()),
        "built (UTC)": "create_time",
    }
    print_list(found, columns, _EMPTY, as_json)


@app.command(epilog="Example: tidemill datasets show 3f9a1c20 --html dataset.html")
def show(
    dataset_version: Annotated[
        str,
        typer.Argument(help="The id, or its first 8 or more characters; without it, the newest."),
    ] = "",
    html: Html = None,
    address: Catalog = "",
    as_json: AsJson = False,
) -> None:
    """Show one dataset version: classes, lengths, sources, and which rows were left out and why.

    A server's catalog has only counts; the rest is in the files.
    """
    version = _in_catalog(dataset_version, address) if address else _here(dataset_version)
    show_found(version, partial(print_description, version), partial(page, version), html, as_json)


@app.command(epilog="Example: tidemill datasets diff 3f9a1c20 b7710e4d --rows 5")
def diff(
    base: Version,
    dataset_version: Version,
    rows: Annotated[
        int, typer.Option(min=0, max=LARGEST, help="How many rows of each kind to show.")
    ] = 0,
    address: Catalog = "",
    as_json: AsJson = False,
) -> None:
    """Compare two dataset versions: rows in, out and relabeled, and changes of class shares.

    A server's catalog has only counts; which rows differ is in the files.
    """
    if address:
        if rows:
            raise WrongUsage("--rows reads files: leave out --address")
        request = pb.DiffDatasetVersionsRequest(
            base_dataset_version=base, dataset_version=dataset_version
        )
        with connected(address) as client:
            found = to_json(client.datasets.DiffDatasetVersions(request, timeout=CALL_SECONDS))
    else:
        found = compare(_folder(base), _folder(dataset_version), rows)
    if as_json:
        print_json(found)
    else:
        print_difference(found)


@app.command(epilog="Example: tidemill datasets export 3f9a1c20 train.jsonl --split train")
def export(
    dataset_version: Version,
    file: Annotated[
        str, typer.Argument(help=f"The file, or its URL (s3://…): {', '.join(EXPORTS)}.")
    ],
    split: Annotated[Split | None, typer.Option(help="Only this split.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    raw: Annotated[
        bool,
        typer.Option("--raw", help="In a CSV, do not change cells that look like formulas."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write the rows of a dataset version to a file, all of them or none.

    In a CSV, a cell that a spreadsheet would run as a formula (it starts with =, +, -, @, a tab or
    a line end) gets a ' in front. For programs, use --raw, JSON Lines or Parquet, which keep cells
    unchanged.
    """
    require_suffix(Path(file), EXPORTS)
    place = ExportPlace(file)
    if not force:
        place.refuse_existing("--force overwrites it")
    place.require_writable()
    folder = _folder(dataset_version)
    count, changed = export_rows(folder, place, str(split or ""), raw=raw)
    done = {"dataset_version": folder.name, "file": file, "rows": count}
    print_one({**done, "changed_cells": changed}, done, as_json)
    if changed:
        say(f"got a ' in front: {counted(changed, 'cell')} like a formula; see --raw", "yellow")


@app.command(epilog="Example: tidemill datasets gc --keep 5 --keep-days 30 --yes")
def gc(
    keep: Annotated[
        int, typer.Option(min=1, max=LARGEST, help="How many of the newest of each task stay.")
    ] = 5,
    keep_days: Annotated[
        int,
        typer.Option(
            min=0, max=MOST_DAYS, help="Versions built in the last days stay; how many days."
        ),
    ] = 30,
    yes: Annotated[bool, typer.Option("--yes", help="Remove; without it, only list.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove the rows of old dataset versions that no model was trained on.

    The manifests stay, so `tidemill datasets rebuild` can build the rows again.
    """
    require_extras()
    # Importing the database's packages takes half a second, which the help must not cost.
    from tidemill_cli.dataset_removal import make_room

    before = system_clock() - timedelta(days=keep_days)
    found = make_room(workspace_settings(), keep, before, really=yes)
    if as_json:
        versions = [{"dataset_version": one.dataset_version, "size": one.size} for one in found]
        print_json({"removed": yes, "versions": versions})
        return
    rows = (
        (one.dataset_version[:12], one.task, f"{one.build_time:%Y-%m-%d %H:%M}", f"{one.size:,}")
        for one in found
    )
    columns = ("dataset version", "task", "last built (UTC)", "bytes")
    print_table(columns, rows, "no rows can be removed")
    if found:
        say("removed" if yes else "nothing was removed: --yes removes the rows of these")


@app.command(epilog="Example: tidemill datasets rebuild 3f9a1c20")
def rebuild(dataset_version: Version, as_json: AsJson = False) -> None:
    """Build the rows of a dataset version again, as its manifest describes.

    Existing rows are checked against the id.
    """
    require_extras()
    folder = _folder(dataset_version)
    done = {"dataset_version": folder.name, "rows": rebuilt(folder)}
    print_one(done, done, as_json)


def _in_catalog(dataset_version: str, address: str) -> Description:
    with connected(address) as client:
        if dataset_version:
            request = pb.GetDatasetVersionRequest(dataset_version=dataset_version)
            answer = client.datasets.GetDatasetVersion(request, timeout=CALL_SECONDS)
            return from_message(answer.dataset_version)
        newest = pb.ListDatasetVersionsRequest(page_size=1)
        listed = client.datasets.ListDatasetVersions(newest, timeout=CALL_SECONDS)
    if not listed.dataset_versions:
        raise CommandFailed(_EMPTY)
    return from_message(listed.dataset_versions[0])


def _here(dataset_version: str) -> Description:
    if dataset_version:
        folder = _folder(dataset_version)
    else:
        datasets = _datasets()
        folders = version_folders(datasets.root)
        if not folders:
            raise CommandFailed(_EMPTY)
        newest = max(folders, key=lambda folder: build_time(read_manifest(folder)))
        folder = datasets.fetch(newest)
    return from_folder(folder, last_build_time(workspace_settings(), folder.name))


def _folder(dataset_version: str) -> Path:
    datasets = _datasets()
    return datasets.fetch(find_version(datasets.root, dataset_version))


def _datasets() -> "DatasetCopies":
    """Return the versions of this workspace, with the manifests of all of them here."""
    from tidemill_core.dataset_copies import DatasetCopies  # not in the client alone

    datasets = DatasetCopies.of(workspace_settings())
    datasets.fetch_manifests()
    return datasets
