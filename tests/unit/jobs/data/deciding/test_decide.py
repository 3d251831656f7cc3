"""Decisions on rows in any order."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import MappingProxyType

import pytest

from tidemill_core.domain.label_names import Renames
from tidemill_core.domain.split import content_hash
from tidemill_jobs.data.deciding.decide import Decided, decide
from tidemill_jobs.data.landing.intake import Intake
from tidemill_jobs.data.preparing.clean import Cleaning
from tidemill_jobs.data.preparing.prepare import PreparedCache
from tidemill_jobs.data.sources.raw_rows import RawRow, Unreadable, checked
from tidemill_jobs.data.sources.source import Batch, Watermark

Row = tuple[str, str, str | None]
TOPICS = (
    "my card was declined at the counter of the supermarket this morning",
    "how long does a transfer to another country take on a public holiday",
    "the machine kept the money that i wanted to pay in late last night",
    "please tell me why the exchange rate differs from the one on your page",
)


class _Source:
    """A source that gives each list of rows, of key, text and label, as a batch."""

    name = "list"
    place = "a list"
    labeled = True

    def __init__(self, *batches: list[Row]) -> None:
        self._batches = batches

    def read(self, watermark: Watermark) -> Iterator[Batch]:
        for number, rows in enumerate(self._batches, watermark.get("batches", 0) + 1):
            piece = checked("", [_raw(*row) for row in rows])
            yield Batch(piece.rows, piece.unreadable, {"batches": number})


def _raw(key: str, text: str, label: str | None) -> RawRow | Unreadable:
    if text == "broken":
        return Unreadable(f"list#{key}", "WRONG_TYPE", text, key)
    return RawRow(f"list#{key}", key, text, label)


def _decided(
    folder: Path,
    batches: list[list[Row]],
    similarity: float,
    erased: str = "",
    renames: Renames = MappingProxyType({}),
) -> Decided:
    """Return the decisions on rows that land batch by batch."""
    intake = Intake(folder / "intake")
    segments = intake.land(_Source(*batches), _ignore)
    cache = PreparedCache(folder / "prepared", Cleaning(1000))
    prepared = cache.prepare(segments, _ignore)
    return decide(prepared, renames, similarity, {content_hash(erased)}, None)


def _ignore(done: float, doing: str) -> None:
    """Report nothing."""


def _outcomes(decided: Decided) -> dict[str, str]:
    """Return KEPT or the rule that excluded the row, by origin."""
    kept = decided.rows.gather(decided.kept["number"], ["origin"])["origin"]
    excluded = decided.rows.gather(decided.excluded["number"], ["origin"])["origin"]
    rules = dict(zip(excluded, decided.excluded["rule"], strict=True))
    return rules | dict.fromkeys(kept, "KEPT")


def _texts_and_rules(decided: Decided) -> tuple[list[tuple[str, ...]], Counter[str]]:
    """Return the labels of kept texts by hash, and the number of excluded rows by rule."""
    hashes = decided.rows.gather(decided.kept["number"], ["text_hash"])
    kept = hashes.hstack(decided.kept.select("label", "split")).sort("text_hash")
    rules = Counter(rule for rule in decided.excluded["rule"] if rule != "REPLACED")
    return kept.rows(), rules


def _some_rows(random: Random, count: int) -> list[Row]:
    """Generate rows with few keys and with similar texts, so that many collide."""
    rows: dict[str, Row] = {}
    for _ in range(count):
        words = random.choice(TOPICS).split()
        for _ in range(random.randrange(3)):
            words[random.randrange(len(words))] = random.choice(["card", "top-up", "refund"])
        text = random.choice(["broken", *[" ".join(words)] * 20])
        key = str(random.randrange(200))
        rows[key] = (key, text, random.choice([None, "a", "b", "b", "b"]))
    return list(rows.values())


@pytest.mark.parametrize("similarity", [0.85, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_how_rows_landed_changes_nothing(tmp_path: Path, seed: int, similarity: float) -> None:
    """Rows that land in batches, with replacements, or at once have the same outcomes."""
    random = Random(seed)
    batches = [_some_rows(random, count) for count in (40, 1, 40, 5)]
    latest = {row[0]: row for batch in batches for row in batch}
    bit_by_bit = _texts_and_rules(_decided(tmp_path / "a", batches, similarity))
    texts, rules = _texts_and_rules(_decided(tmp_path / "b", [[*latest.values()]], similarity))
    assert bit_by_bit == (texts, rules)
    assert texts
    assert {"DUPLICATE", "WRONG_TYPE"} < rules.keys()
    assert any(rule.startswith("NEAR_") for rule in rules) == (similarity < 1)


def test_each_row_is_kept_or_excluded_once(tmp_path: Path) -> None:
    """Each row of all segments is kept or excluded under its number."""
    batches = [_some_rows(Random(1), 30), _some_rows(Random(2), 30)]
    decided = _decided(tmp_path, batches, 0.85)
    numbers = [*decided.kept["number"], *decided.excluded["number"]]
    assert sorted(numbers) == list(range(sum(map(len, batches))))


def test_a_text_that_was_erased_is_not_kept(tmp_path: Path) -> None:
    """A row with an erased text in any spelling is ERASED."""
    rows: list[Row] = [("1", "My  Name", "a"), ("2", "another", "b")]
    outcomes = _outcomes(_decided(tmp_path, [rows], 0.85, erased="my name"))
    assert outcomes == {"list#1": "ERASED", "list#2": "KEPT"}


def test_labels_are_decided_on_by_their_current_names(tmp_path: Path) -> None:
    """Rows with old and new names of one label are duplicates, not contradictions."""
    rows: list[Row] = [("1", "same", "old"), ("2", "same", "new"), ("3", "another", "old")]
    decided = _decided(tmp_path, [rows], 1.0, renames={"old": "new"})
    assert Counter(decided.excluded["rule"]) == {"DUPLICATE": 1}
    assert set(decided.kept["label"]) == {"new"}
    assert decided.rows.gather(decided.excluded["number"], ["label"])["label"].to_list() == ["new"]
    before = _decided(tmp_path, [rows], 1.0)
    assert Counter(before.excluded["rule"]) == {"CONTRADICTORY_LABELS": 2}
