"""The guide docs/labeling-functions.md: rows without a label, functions, and a dataset version."""

import json
import re
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from tests.integration.jobs.conftest import NOW
from tests.integration.jobs.data.building import build
from tidemill_core.domain.dataset import DatasetVersion
from tidemill_core.domain.split import Split, content_hash, split_of
from tidemill_core.errors import DataError
from tidemill_core.settings import load_settings
from tidemill_core.storage.database import Page
from tidemill_jobs.context import JobContext
from tidemill_jobs.data.build import run
from tidemill_jobs.data.publishing.dataset import read_dataset
from tidemill_jobs.data.rebuild import rebuild
from tidemill_jobs.feedback import label_errors

PAGE = (Path(__file__).parents[5] / "docs" / "labeling-functions.md").read_text(encoding="utf-8")


def _block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    """Return a folder with the page's own files."""
    (tmp_path / "labeling_functions.py").write_text(_block("python"), encoding="utf-8")
    (tmp_path / "tidemill.toml").write_text(_block("toml"), encoding="utf-8")
    (tmp_path / "tickets.csv").write_text(_block("csv"), encoding="utf-8")
    with chdir(tmp_path):
        yield tmp_path


@pytest.fixture
def labeled(context: JobContext, workspace: Path) -> JobContext:
    """Return a run in that workspace."""
    settings = load_settings()
    assert settings.state_dir == workspace / "var"
    return replace(context, settings=settings)


def _rows(context: JobContext) -> dict[str, tuple[str, str]]:
    newest, _ = context.storage.datasets.page(context.task, Page(size=1))
    rows = read_dataset(newest[0].uri).select("text", "label", "label_source")
    return {text: (label, source) for text, label, source in rows.iter_rows()}


def _manifest(context: JobContext) -> dict[str, object]:
    newest, _ = context.storage.datasets.page(context.task, Page(size=1))
    manifest = (Path(newest[0].uri) / "manifest.json").read_text(encoding="utf-8")
    return dict(json.loads(manifest))


def _trained(texts: list[str]) -> list[str]:
    return [text for text in texts if split_of(content_hash(text)) is Split.TRAIN]


def test_rows_without_a_label_get_one(labeled: JobContext) -> None:
    """The functions give weak labels as the page says, and the report describes the functions."""
    result = run(labeled)
    rows = _rows(labeled)
    refunds = _trained(["I want my money back", "Please refund the second payment"])
    deliveries = _trained(["Where is my parcel?", "My parcel has not arrived yet"])
    for texts, label in ((refunds, "refund"), (deliveries, "delivery")):
        assert texts
        assert [rows[text] for text in texts] == [(label, "weak")] * len(texts)
    assert "Do you sell gift cards?" not in rows
    assert result["excluded_by_rule"]["UNLABELLED"] >= 1
    assert result["rows_in"] == 7
    assert [each["function"] for each in result["labeling_functions"]] == [
        "money_back", "charged", "where_is", "parcel",
    ]  # fmt: skip
    assert result["labeling_functions"][0]["coverage"] == pytest.approx(3 / 7, abs=1e-4)
    assert _manifest(labeled)["labeling_functions"] == result["labeling_functions"]


def test_a_sources_own_label_is_trusted_more(labeled: JobContext, workspace: Path) -> None:
    """The source's label wins over a function's, and the functions are measured on it."""
    text = "The parcel is late, I want my money back"
    (workspace / "known.csv").write_text(f'text,label\n"{text}",complaint\n', encoding="utf-8")
    settings = labeled.task_settings
    known = settings.sources[0].model_copy(update={"path": "known.csv", "label_column": "label"})
    with (workspace / "tickets.csv").open("a", encoding="utf-8") as tickets:
        tickets.write(f'"{text}"\n')
    task = settings.model_copy(update={"sources": [*settings.sources, known]})
    context = replace(
        labeled, settings=labeled.settings.model_copy(update={"tasks": {"support": task}})
    )
    result = run(context)
    assert _rows(context)[text] == ("complaint", "source")
    money_back, charged, _, _ = result["labeling_functions"]
    assert (money_back["gold_texts"], money_back["accuracy"]) == (1, 0.0)
    assert (charged["gold_texts"], charged["accuracy"]) == (0, None)


def test_other_functions_show_in_the_manifest(labeled: JobContext, workspace: Path) -> None:
    """The manifest shows other functions even if they give the same labels and version."""
    first = build(labeled)
    before = _manifest(labeled)["recipe"]
    with (workspace / "labeling_functions.py").open("a", encoding="utf-8") as file:
        file.write("# another file now\n")
    assert build(labeled) == first
    after = _manifest(labeled)["recipe"]
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    assert before["labeling_functions"]["file"] == "labeling_functions.py"
    assert before["labeling_functions"] != after["labeling_functions"]


def test_a_broken_function_publishes_nothing(labeled: JobContext, workspace: Path) -> None:
    """The build fails with the function's name; once it is fixed, the next build succeeds."""
    file = workspace / "labeling_functions.py"
    mended = file.read_text(encoding="utf-8")
    file.write_text(mended.replace('"parcel" in text', '"parcel" in txt'), encoding="utf-8")
    with pytest.raises(DataError, match=r"py:2[0-9]: .*'parcel' fails .*NameError"):
        build(labeled)
    assert labeled.storage.datasets.page("support", Page()) == ([], "")
    file.write_text(mended, encoding="utf-8")
    assert build(labeled).label_source_counts == {"weak": len(_rows(labeled))}


def _rebuilt(context: JobContext, version: DatasetVersion, functions: Path | None) -> pl.DataFrame:
    """Return a version's rows after removing and rebuilding them."""
    folder, state_dir = Path(version.uri), context.settings.state_dir
    (folder / "examples.parquet").unlink()
    rebuild(
        folder, context.datasets, state_dir, context.storage.erasures, functions, context.progress
    )
    return read_dataset(version.uri)


def test_a_version_is_rebuilt_with_the_functions_of_its_build(labeled: JobContext) -> None:
    """A rebuild restores the rows that functions labeled."""
    functions = labeled.task_settings.labeling_functions
    version = build(labeled)
    rows = read_dataset(version.uri)
    assert _rebuilt(labeled, version, functions).equals(rows)
    with pytest.raises(DataError, match="cannot be rebuilt"):
        _rebuilt(labeled, version, None)


def test_a_version_of_before_the_functions_is_rebuilt_without(
    context: JobContext, source: Path
) -> None:
    """A rebuild does not read functions that were declared after the build."""
    source.write_text("text,label\nx,a\ny,b\n", encoding="utf-8")
    version = build(context)
    rows = read_dataset(version.uri)
    assert _rebuilt(context, version, source.with_name("later.py")).equals(rows)


def test_suspected_label_errors_of_the_newest_version(context: JobContext, source: Path) -> None:
    """The job reports the place of a wrong label without its text; without a version, none."""
    assert label_errors.run(context)["dataset_version"] == ""
    rows = [(f"card {n} is lost", "card") for n in range(60)]
    rows += [(f"loan {n} has a rate", "loan") for n in range(60)]
    texts = _trained([f"card number {n} is lost" for n in range(10)])
    lines = [*(f"{text},{label}" for text, label in rows), f"{texts[0]},loan"]
    source.write_text("\n".join(["text,label", *lines]), encoding="utf-8")
    task = context.task_settings.model_copy(update={"near_duplicate_similarity": 1.0})
    settings = context.settings.model_copy(update={"tasks": {"support": task}})
    version = build(replace(context, settings=settings))
    result = label_errors.run(context)
    assert result["dataset_version"] == version.dataset_version
    assert result["rows"] == version.row_counts["train"]
    worst = result["worst"][0]
    assert worst["origin"].endswith(f"{source.name}:122")
    assert (worst["label"], worst["suggested_label"]) == ("loan", "card")
    items, _ = context.storage.label_items.page("support", (), None, Page(), NOW)
    assert [(item.text, item.suggested_labels) for item in items][-1:] == [
        (texts[0], ("card", "loan"))
    ]
    assert (result["queued"], label_errors.run(context)["queued"]) == (len(items), 0)
    assert all(text not in json.dumps(result) for text in pl.Series(texts))
