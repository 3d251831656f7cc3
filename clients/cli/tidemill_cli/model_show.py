"""`tidemill models show`: a version, and what the gates found about it."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from tidemill.v1 import model_service_pb2 as pb
from tidemill_cli.class_measures import classes_of_gates, classes_section
from tidemill_cli.connection import connected
from tidemill_cli.html_file import Html, show_found
from tidemill_cli.listing import CALL_SECONDS, print_one
from tidemill_cli.messages import enum_name, time_text, to_json
from tidemill_cli.model_page import page
from tidemill_cli.options import Address, AsJson, TaskAndVersion
from tidemill_cli.output import print_fields, print_table, stdout
from tidemill_cli.section import print_section
from tidemill_cli.tasks import task_and_version, the_task

SHOW_EXAMPLE = "Example: tidemill models show support 3 --html version.html"
GATE_COLUMNS = ("gate", "verdict", "figure", "limit", "because")


def show(
    which: TaskAndVersion = None,
    html: Html = None,
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Show one model version and what the gates found; without a number, the champion."""
    task, model_version = task_and_version(which)
    with connected(address) as client:
        request = pb.GetModelVersionRequest(
            task=the_task(client, task, address), model_version=model_version
        )
        found = client.models.GetModelVersion(request, timeout=CALL_SECONDS)
    version, gates = found.model_version, found.gate_results
    results = [to_json(each) for each in gates]
    classes = classes_of_gates(results)
    fields = {**fields_of(version), **dict(sorted(found.tracked_runs.items()))}
    more = {"gate_results": results, "classes": classes, "tracked_runs": dict(found.tracked_runs)}
    show_found(
        {**to_json(version), **more},
        partial(_print, fields, rows_of(gates), classes),
        partial(page, fields, rows_of(gates), results),
        html,
        as_json,
    )


def print_version(version: pb.ModelVersion, as_json: bool) -> None:
    """Print a version without the gates' verdicts."""
    print_one(version, fields_of(version), as_json)


def _print(fields: Mapping[str, Any], gates: Sequence[Any], classes: Sequence[Any]) -> None:
    print_fields(fields)
    if gates:
        stdout().print()
        print_table(GATE_COLUMNS, gates, "")
    if classes:
        print_section(classes_section(classes))


def fields_of(version: pb.ModelVersion) -> Mapping[str, Any]:
    """Return a version's fields for people."""
    return {
        "task": version.task,
        "version": version.model_version,
        "state": enum_name(version, "state"),
        "because": version.reason,
        "approved by": version.approved_by,
        "trained because": version.trained_because,
        "format": version.format,
        "trained on": version.dataset_version,
        **{_measure(name): f"{x:.4g}" for name, x in sorted(version.measures.items())},
        "published": time_text(version.create_time) + " UTC",
        "state since": time_text(version.update_time) + " UTC",
    }


def _measure(name: str) -> str:
    return "hold-out rows" if name == "n" else name.replace("_", " ")


def rows_of(gates: Sequence[pb.GateResult]) -> list[Sequence[str]]:
    """Return a row for each gate: GATE_COLUMNS."""
    return [
        (
            gate.gate,
            enum_name(gate, "verdict"),
            f"{gate.figure:.4g}" if gate.HasField("figure") else "",
            f"{gate.threshold:.4g}" if gate.HasField("threshold") else "",
            gate.reason,
        )
        for gate in gates
    ]
