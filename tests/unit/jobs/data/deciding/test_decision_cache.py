"""What is known of the last build changes how long a build takes, and nothing else."""

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import polars as pl
import pytest

from tidemill_jobs.data.deciding.decide import Decided, decide
from tidemill_jobs.data.deciding.decision_cache import NOTHING_KNOWN, read_known, write_known
from tidemill_jobs.data.deciding.prepared_rows import Stock
from tidemill_jobs.data.landing.intake import LANDED, Intake
from tidemill_jobs.data.preparing.clean import Recipe
from tidemill_jobs.data.preparing.prepare import Prepared, Workshop
from tidemill_jobs.data.sources.raw_rows import RawRow, Unreadable, checked
from tidemill_jobs.data.sources.source import Batch, Watermark

Row = tuple[str, str, str | None]
NOTHING_ERASED = pl.Series([], dtype=pl.UInt64)
TOPICS = (
    "my card was declined at the counter of the supermarket this morning",
    "how long does a transfer to another country take on a public holiday",
    "the machine kept the money that i wanted to pay in late last night",
    "please tell me why the exchange rate differs from the one on your page",
)


class _Source:
    """A source that gives one batch of rows: key, text and label."""

    place = "a list"
    labelled = True

    def __init__(self, name: str, rows: list[Row]) -> None:
        self.name = name
        self._rows = rows

    def read(self, watermark: Watermark) -> Iterator[Batch]:  # noqa: ARG002 -- gives all each time
        piece = checked("", [_found(*row) for row in self._rows])
        yield Batch(piece.rows, piece.unreadable, {})


def _found(key: str, text: str, label: str | None) -> RawRow | Unreadable:
    if text == "broken":
        return Unreadable(f"list#{key}", "WRONG_TYPE", text, key)
    return RawRow(f"list#{key}", key, text, label)


class _Workplace:
    """Rows that land bit by bit, decided on with what was known and without."""

    def __init__(self, folder: Path, similarity: float) -> None:
        self._intake = Intake(folder / "intake")
        self._workshop = Workshop(folder / "prepared", Recipe(1000, 1, ()))
        self._similarity = similarity
        self._is_reversed = False

    def land(self, name: str, rows: list[Row]) -> None:
        self._intake.land(_Source(name, rows), lambda _done, _doing: None)

    def land_feedback(self, rows: list[Row]) -> None:
        given = ["origin", "key", "text", "label"]
        found = [(f"f{key}", key, text, label) for key, text, label in rows]
        frame = pl.DataFrame(found, schema={name: LANDED[name] for name in given}, orient="row")
        values = {"label_source": "feedback", "weight": 0.5, "judges": False}
        others = [
            pl.lit(values.get(name), kind).alias(name)
            for name, kind in LANDED.items()
            if name not in given
        ]
        self._intake.land_snapshot("feedback", frame.with_columns(others).select(list(LANDED)))

    def reverse(self) -> None:
        """From now on, the sources are in the other order."""
        self._is_reversed = not self._is_reversed

    def prepared(self) -> list[Prepared]:
        names = sorted(self._intake.sources(), reverse=self._is_reversed)
        segments = [segment for name in names for segment in self._intake.segments(name)]
        return [self._workshop.prepare(segment) for segment in segments]

    def decided(self, known: pl.DataFrame) -> Decided:
        stock = Stock(self.prepared())
        return decide(stock, known, self._similarity, NOTHING_ERASED, _no_labels)

    def known(self, depends_on: str = "") -> pl.DataFrame:
        return read_known(self._workshop.decided, depends_on, self.prepared())

    def remember(self, decided: Decided) -> None:
        write_known(self._workshop.decided, "", self.prepared(), decided.known)


def _no_labels(texts: pl.DataFrame) -> pl.DataFrame:
    return texts.select(label=pl.lit(None, pl.String), weight=pl.lit(1.0))


def _some_rows(random: Random, count: int) -> list[Row]:
    """Rows of few keys, and of texts that are nearly the same as others, so that all can meet."""
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
def test_what_is_known_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, similarity: float
) -> None:
    """Whatever lands of several sources, or is replaced or withdrawn, between two builds."""
    random = Random(seed)
    place = _Workplace(tmp_path, similarity)
    if seed % 2:
        monkeypatch.setattr("tidemill_jobs.data.deciding.decide._FEW", 0)
    known_rows = []
    for _ in range(6):
        # A source whose name comes before the others' moves the places of all segments.
        place.land(random.choice("cba"), _some_rows(random, random.choice([1, 5, 40])))
        place.land_feedback(_some_rows(random, 3))
        if random.random() < 0.2:
            place.reverse()
        known = place.known()
        fresh, found = place.decided(NOTHING_KNOWN), place.decided(known)
        assert found.kept.equals(fresh.kept)
        assert found.set_aside.equals(fresh.set_aside)
        known_rows.append(len(known))
        place.remember(found)
    assert sum(count > 0 for count in known_rows) >= 2


def test_only_what_new_rows_touch_is_decided_on(tmp_path: Path) -> None:
    """A row that shares nothing with what came since keeps its outcome without being looked at."""
    place = _Workplace(tmp_path, 0.85)
    place.land("a", [("1", "where is my refund", "a"), ("2", TOPICS[0], "b")])
    place.remember(place.decided(place.known()))
    place.land("a", [("3", f"{TOPICS[0]}!", "b")])
    # Wrong on purpose: it shows which rows are taken as they were.
    known = place.known().with_columns(rule_before=pl.lit("HELD_OUT"))
    assert place.decided(known).set_aside["rule"].to_list() == ["HELD_OUT", "NEAR_DUPLICATE"]


def test_only_sound_rows_are_known(tmp_path: Path) -> None:
    """With any byte of the file changed, what is read is right, or nothing."""
    place = _Workplace(tmp_path, 0.85)
    rows = [(str(n), f"{TOPICS[n % len(TOPICS)]} {n}", "ab"[n % 2]) for n in range(50)]
    place.land("a", rows)
    decided = place.decided(NOTHING_KNOWN)
    place.remember(decided)
    (kept,) = tmp_path.rglob("decided.parquet")
    whole = kept.read_bytes()
    for at in range(0, len(whole), 7):
        kept.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        known = place.known()
        assert not len(known) or known.equals(decided.known), at


def test_what_does_not_hold_any_more_is_not_known(tmp_path: Path) -> None:
    """Other settings, another order, a changed segment or prepared file, a damaged file."""
    place = _Workplace(tmp_path, 0.85)
    place.land("a", [("1", "x", "a"), ("2", "y", "b")])
    place.remember(place.decided(NOTHING_KNOWN))
    assert len(place.known()) == 2
    assert not len(place.known("other settings"))
    for changed in (place.prepared()[0].path, place.prepared()[0].segment.path):
        os.utime(changed, ns=(0, changed.stat().st_mtime_ns + 1))
        assert not len(place.known())
        place.remember(place.decided(NOTHING_KNOWN))
        assert len(place.known()) == 2
    place.land("b", [("1", "x", "a")])
    place.remember(place.decided(NOTHING_KNOWN))
    assert len(place.known()) == 3
    place.reverse()
    assert not len(place.known())
    place.remember(place.decided(NOTHING_KNOWN))
    assert len(place.known()) == 3
    (kept,) = tmp_path.rglob("decided.parquet")
    kept.write_bytes(b"PAR1")
    assert not len(place.known())
