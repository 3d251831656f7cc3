"""`tidemill datasets`."""

from collections.abc import Mapping
from typing import Annotated

import typer

from tidemill.v1.dataset_service_pb2 import (
    DatasetVersion,
    DiffDatasetVersionsRequest,
    GetDatasetVersionRequest,
    ListDatasetVersionsRequest,
)
from tidemill_cli.connection import CALL_SECONDS, Address, Limit, OnlyTask, collect, connected
from tidemill_cli.messages import time_text, to_json
from tidemill_cli.output import AsJson, print_fields, print_json, print_table, say

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Show what models were trained on.",
    epilog="Example: tidemill datasets list --task support",
)

Version = Annotated[str, typer.Argument(help="The id, or its first 8 or more characters.")]


@app.command("list", epilog="Example: tidemill datasets list --task support --json")
def list_versions(
    task: OnlyTask = "", limit: Limit = 20, address: Address = "", as_json: AsJson = False
) -> None:
    """List dataset versions."""
    with connected(address) as client:
        versions: list[DatasetVersion] = collect(
            lambda size, token: client.datasets.ListDatasetVersions(
                ListDatasetVersionsRequest(task=task, page_size=size, page_token=token),
                timeout=CALL_SECONDS,
            ),
            lambda page: page.dataset_versions,
            limit,
        )
    if as_json:
        print_json([to_json(version) for version in versions])
        return
    columns = ("dataset version", "task", "rows", "labels", "quarantined", "built (UTC)")
    rows = (
        (
            version.dataset_version[:12],
            version.task,
            sum(version.row_counts.values()),
            len(version.label_counts),
            sum(version.quarantine_counts.values()),
            time_text(version.create_time),
        )
        for version in versions
    )
    print_table(columns, rows, empty="no dataset versions yet")


@app.command(epilog="Example: tidemill datasets show 3f9a1c20")
def show(dataset_version: Version, address: Address = "", as_json: AsJson = False) -> None:
    """Show one dataset version."""
    request = GetDatasetVersionRequest(dataset_version=dataset_version)
    with connected(address) as client:
        version = client.datasets.GetDatasetVersion(request, timeout=CALL_SECONDS).dataset_version
    if as_json:
        print_json(to_json(version))
        return
    print_fields(
        {
            "dataset version": version.dataset_version,
            "task": version.task,
            "folder": version.uri,
            "rows": _counts(version.row_counts),
            "labelled by": _counts(version.label_source_counts),
            "quarantined": _counts(version.quarantine_counts),
            "built": time_text(version.create_time) + " UTC",
        }
    )
    labels = sorted(version.label_counts.items(), key=lambda item: -item[1])
    print_table(("label", "rows"), labels, empty="it has no labels")


@app.command(epilog="Example: tidemill datasets diff 3f9a1c20 b7710e4d")
def diff(
    base: Version, dataset_version: Version, address: Address = "", as_json: AsJson = False
) -> None:
    """Compare two dataset versions by their counts."""
    request = DiffDatasetVersionsRequest(base_dataset_version=base, dataset_version=dataset_version)
    with connected(address) as client:
        found = client.datasets.DiffDatasetVersions(request, timeout=CALL_SECONDS)
    if as_json:
        print_json(to_json(found))
        return
    say(f"rows: {found.base_row_count} → {found.row_count}")
    rows = (
        (change.label, change.base_count, change.count, f"{change.count - change.base_count:+d}")
        for change in found.label_changes
    )
    print_table(("label", "before", "after", "change"), rows, empty="no label's count differs")


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
