"""The description of a dataset version, for the terminal and the HTML page."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from tidemill.v1.dataset_service_pb2 import DatasetVersion
from tidemill_cli.dataset_files import read_examples
from tidemill_cli.local import missing_module
from tidemill_cli.messages import to_json
from tidemill_cli.output import percent, print_fields, say
from tidemill_cli.section import Section, print_section
from tidemill_core.counted import counted
from tidemill_core.dataset_folder import has_rows, read_manifest
from tidemill_core.domain.split import Split

Description = Mapping[str, Any]
"""A version as JSON: the fields of `DatasetVersion`, with `source_counts` by source and outcome;
for a version in this workspace, everything in its manifest, and `rows_removed`."""

_OUTCOMES = ("kept", "merged", "left_out", "quarantined")


def from_message(version: DatasetVersion) -> Description:
    """Return the description of a version in a server's catalog."""
    counts = {each.source: dict(each.outcomes) for each in version.source_counts}
    return {**to_json(version), "source_counts": counts}


def from_folder(folder: Path, last_build: datetime | None) -> Description:
    """Return the description of the version in a folder.

    Args:
        folder: the version's folder.
        last_build: when a build last produced it, which the folder does not show; None if unknown.

    Raises:
        DataError: DATASET_MISSING or DATASET_DAMAGED.
    """
    there = has_rows(folder)
    description = {**read_manifest(folder), "uri": str(folder), "rows_removed": not there}
    description["build_time"] = last_build and last_build.isoformat()
    if there and missing_module() is None:
        description["split_counts"] = _split_counts(folder)
    return description


def _split_counts(folder: Path) -> dict[str, dict[str, int]]:
    """Return the number of a version's rows by label and split.

    Raises:
        DataError: DATASET_DAMAGED.
    """
    rows = read_examples(folder, ["label", "split"])
    counts: dict[str, dict[str, int]] = {}
    for label, split, count in rows.group_by("label", "split", maintain_order=True).len().rows():
        counts.setdefault(label, {})[split] = count
    return counts


def summary(version: Description) -> dict[str, Any]:
    """Return the fields that take one line each; unknown ones are empty."""
    agreement = version.get("profile", {}).get("agreement", {})
    labels_agree = ""
    if texts := agreement.get("texts"):
        share = percent(agreement["agreed"] / texts)
        labels_agree = f"{share} of {counted(texts, 'text')} labeled more than once"
    return {
        "dataset version": version["dataset_version"],
        "task": version["task"],
        "folder": version["uri"],
        "rows": _counts(version["row_counts"]),
        "source rows": sum(sum(of.values()) for of in version["source_counts"].values()) or "",
        "labels agree": labels_agree,
        "erased since": version["erased_count"] or "",
        "built": _moment(version["create_time"]),
        "last built": _moment(version["build_time"] or ""),
        "built by": f"Tidemill {version['code_version']}" if version["code_version"] else "",
        "built after": ", ".join(parent[:12] for parent in version["parents"]),
    }


def sections(version: Description) -> Iterator[Section]:
    """Yield the tables that have content."""
    profile = version.get("profile", {})
    yield _shares("Classes", "label", version["label_counts"], version.get("split_counts", {}))
    yield _shares("Label sources", "label source", version["label_source_counts"], {})
    if version["source_counts"]:
        yield _sources(version["source_counts"])
    if profile:
        yield from _lengths(profile)
    if version["quarantine_counts"]:
        yield _excluded(version["quarantine_counts"], profile.get("excluded", {}))
    if functions := version.get("labeling_functions"):
        columns = list(functions[0])
        rows = [[_cell(function.get(name)) for name in columns] for function in functions]
        yield Section("Labeling functions", [name.replace("_", " ") for name in columns], rows)


def print_description(version: Description) -> None:
    """Print a description."""
    print_fields(summary(version))
    if version.get("rows_removed"):
        cure = f"`tidemill datasets rebuild {version['dataset_version'][:12]}` builds them again"
        say(f"its rows were removed: {cure}", style="yellow")
    for section in sections(version):
        print_section(section)


def _shares(
    title: str, name: str, counts: Mapping[str, int], by_split: Mapping[str, Mapping[str, int]]
) -> Section:
    """Return a section of counts, the largest first, with the counts in each split."""
    total = sum(counts.values()) or 1
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    splits = list(Split) if by_split else []
    rows = [
        (
            value,
            count,
            *(by_split.get(value, {}).get(split, 0) for split in splits),
            percent(count / total),
        )
        for value, count in ranked
    ]
    columns = (name, "rows", *splits, "share")
    return Section(title, columns, rows, [count / total for _, count in ranked])


def _sources(counts: Mapping[str, Mapping[str, int]]) -> Section:
    rows = [
        (source, sum(of.values()), *(of.get(outcome, 0) for outcome in _OUTCOMES))
        for source, of in sorted(counts.items())
    ]
    outcomes = (outcome.replace("_", " ") for outcome in _OUTCOMES)
    return Section("Sources, and the outcome of their rows", ("source", "rows", *outcomes), rows)


def _lengths(profile: Mapping[str, Any]) -> Iterator[Section]:
    quantiles, counts = profile["lengths"], profile["length_counts"]
    title = "Lengths of the texts, in characters"
    yield Section(title, list(quantiles), [list(quantiles.values())])
    total = sum(each["rows"] for each in counts) or 1
    rows = [(f"{each['from']} to {each['to']}", each["rows"]) for each in counts]
    bars = [each["rows"] / total for each in counts]
    yield Section("Texts by length", ("characters", "texts"), rows, bars)


def _excluded(counts: Mapping[str, int], profile: Mapping[str, Any]) -> Section:
    rows = []
    for rule, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        known = profile.get(rule, {})
        places = ", ".join(known.get("places", ()))
        rows.append((rule, known.get("outcome", "").replace("_", " "), count, places))
    columns = ("rule", "outcome", "rows", "such as")
    return Section("Rows of the sources that are left out", columns, rows)


def _moment(time: str) -> str:
    return time and time[:19].replace("T", " ") + " UTC"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:.3f}"
    return "" if value is None else value
