"""Last stage: an immutable dataset version on disk, and back.

    <state_dir>/datasets/<task>/<id>/examples.parquet     text, label, label_source, origin,
                                                          split, text_hash; sorted by text_hash
                                    /quarantine.parquet   origin, rule, value
                                    /manifest.json        what the catalogue says of it

The id is the SHA-256 of what the rows say, not of the files: the same input gives the same id
on any machine and with any version of the Parquet writer. A version is staged beside the
others and renamed in, so half a version is never seen; content that is there already is used
again, with the rows that were set aside when it was first built.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from tidemill_core.domain.dataset import DatasetVersion
from tidemill_core.domain.example import QuarantinedRow
from tidemill_core.errors import DataError
from tidemill_jobs.data.rows import PlacedExample, count_by_rule

EXAMPLES_FILE = "examples.parquet"
QUARANTINE_FILE = "quarantine.parquet"
MANIFEST_FILE = "manifest.json"
COLUMNS = ("text", "label", "label_source", "origin", "split", "text_hash")
QUARANTINE_COLUMNS = ("origin", "rule", "value")

_STAGING = ".staging"
_IDENTITY = ("text_hash", "text", "label", "label_source", "split")


@dataclass(frozen=True)
class Content:
    """What a dataset version is made of.

    Attributes:
        task: the task.
        examples: one a text.
        set_aside: the rows that are not in it, and why.
    """

    task: str
    examples: Sequence[PlacedExample]
    set_aside: Sequence[QuarantinedRow]


def publish(content: Content, datasets: Path, now: datetime) -> DatasetVersion:
    """Write a version into the folder of all datasets, whole or not at all.

    Returns:
        The version; the one that is there already if its content is the same.

    Raises:
        DataError: what is there under its id is damaged.
    """
    examples = _examples_frame(content.examples)
    dataset_version = content_id(content.task, examples)
    target = datasets / content.task / dataset_version
    if not target.exists():
        version = _describe(content, dataset_version, str(target), now)
        with _staged(datasets) as staged:
            examples.write_parquet(staged / EXAMPLES_FILE)
            _quarantine_frame(content.set_aside).write_parquet(staged / QUARANTINE_FILE)
            (staged / MANIFEST_FILE).write_text(_manifest(version), encoding="utf-8")
            _rename_durably(staged, target)
    return _read_manifest(target)


def read_dataset(uri: str) -> pl.DataFrame:
    """The examples of a version, sorted by text_hash; all columns are strings.

    Raises:
        DataError: DATASET_MISSING; or DATASET_DAMAGED, if it cannot be read or is not what was
            published under its id.
    """
    folder = Path(uri)
    version = _read_manifest(folder)
    try:
        examples = pl.read_parquet(folder / EXAMPLES_FILE)
        found = content_id(version.task, examples)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _damaged(folder / EXAMPLES_FILE, error) from error
    if found != version.dataset_version:
        raise _damaged(folder / EXAMPLES_FILE, "its rows are not those that were published")
    return examples


def content_id(task: str, examples: pl.DataFrame) -> str:
    """SHA-256, in hex, of a task's name and of its rows, sorted, as lines of JSON."""
    digest = hashlib.sha256(json.dumps([task]).encode())
    for row in sorted(examples.select(_IDENTITY).iter_rows()):
        digest.update(b"\n" + json.dumps(row).encode())
    return digest.hexdigest()


def _examples_frame(examples: Iterable[PlacedExample]) -> pl.DataFrame:
    rows = sorted(
        (
            item.example.text,
            item.example.label,
            str(item.example.label_source),
            item.example.origin,
            str(item.split),
            item.text_hash,
        )
        for item in examples
    )
    frame = pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")
    return frame.sort("text_hash", maintain_order=True)


def _quarantine_frame(rows: Iterable[QuarantinedRow]) -> pl.DataFrame:
    values = sorted((row.origin, row.rule, row.value) for row in rows)
    schema = dict.fromkeys(QUARANTINE_COLUMNS, pl.String)
    return pl.DataFrame(values, schema=schema, orient="row")


def _describe(
    content: Content, dataset_version: str, uri: str, create_time: datetime
) -> DatasetVersion:
    return DatasetVersion(
        dataset_version=dataset_version,
        task=content.task,
        uri=uri,
        row_counts=_counts(str(item.split) for item in content.examples),
        label_counts=_counts(item.example.label for item in content.examples),
        label_source_counts=_counts(str(item.example.label_source) for item in content.examples),
        quarantine_counts=count_by_rule(content.set_aside),
        create_time=create_time,
    )


def _counts(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _manifest(version: DatasetVersion) -> str:
    """A version as JSON, without its place: a folder may be moved with all that is in it."""
    values = {**asdict(version), "create_time": version.create_time.isoformat()}
    del values["uri"]
    return json.dumps(values, indent=2, ensure_ascii=False)


def _read_manifest(folder: Path) -> DatasetVersion:
    """A version as its manifest describes it, wherever the folder lies now."""
    path = folder / MANIFEST_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        create_time = datetime.fromisoformat(values["create_time"])
        return DatasetVersion(**{**values, "uri": str(folder), "create_time": create_time})
    except FileNotFoundError as error:
        raise DataError("DATASET_MISSING", f"there is no {path}") from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, detail: object) -> DataError:
    cure = "remove its folder, and the next build_dataset makes it anew"
    return DataError("DATASET_DAMAGED", f"{path} is damaged: {detail}; {cure}")


@contextmanager
def _staged(datasets: Path) -> Iterator[Path]:
    """A folder of its own beside the datasets, gone at the end if it was not renamed."""
    folder = datasets / _STAGING / uuid.uuid4().hex
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _rename_durably(staged: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    for path in (*staged.iterdir(), staged):
        _sync(path)
    try:
        staged.rename(target)
    except OSError:
        # Another run built the same content in the meantime, which is as good.
        if not target.exists():
            raise
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
