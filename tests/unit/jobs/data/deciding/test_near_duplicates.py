"""Near duplicates."""

from collections.abc import Sequence
from random import Random

import numpy as np
import polars as pl
import pytest

from tidemill_core.domain.split import Split
from tidemill_jobs.data.deciding.near_duplicates import near_duplicates
from tidemill_jobs.data.deciding.prepared_rows import TRUST
from tidemill_jobs.data.preparing.minhash import BAND_COLUMNS, signatures, similarity

TRAIN, VALIDATION, TEST = str(Split.TRAIN), str(Split.VALIDATION), str(Split.TEST)
CARD = "my card was declined at the counter of the supermarket this morning, and i do not know why"
Row = tuple[str, str, str]


def _outcome(rows: Sequence[Row], threshold: float = 0.8) -> list[str]:
    """Return KEPT or the rule that excluded the row, for each row."""
    bands = pl.DataFrame(
        signatures(pl.Series([text for text, *_ in rows], dtype=pl.String)),
        schema=list(BAND_COLUMNS),
        orient="row",
    )
    frame = pl.DataFrame(
        {
            "number": pl.int_range(len(rows), dtype=pl.UInt64, eager=True),
            "text_key": pl.Series([hash(text) & (2**64 - 1) for text, *_ in rows], dtype=pl.UInt64),
            "label": [label for _, label, _ in rows],
            "label_source": pl.Series(["source"] * len(rows), dtype=TRUST),
            "split": [split for *_, split in rows],
        }
    )
    found = near_duplicates(
        frame, threshold, lambda numbers, columns: bands.select(columns)[numbers.cast(pl.UInt32)]
    )
    rules = dict(found.iter_rows())
    return [rules.get(number, "KEPT") for number in range(len(rows))]


def test_near_texts_of_one_label_are_one() -> None:
    """Of two texts that differ in one word, one is kept and one is NEAR_DUPLICATE."""
    rows = [(CARD, "a", TRAIN), (f"{CARD}?", "a", TRAIN), ("where is my refund", "a", TRAIN)]
    assert sorted(_outcome(rows)[:2]) == ["KEPT", "NEAR_DUPLICATE"]
    assert _outcome(rows)[2] == "KEPT"


def test_near_texts_of_other_labels_are_both_kept() -> None:
    """A small difference may matter for the label, so both texts are kept."""
    assert _outcome([(CARD, "a", TRAIN), (f"{CARD}?", "b", TRAIN)]) == ["KEPT", "KEPT"]


@pytest.mark.parametrize("side", [VALIDATION, TEST])
@pytest.mark.parametrize("label", ["a", "b"])
def test_what_is_near_to_a_held_out_text_does_not_train(side: str, label: str) -> None:
    """A training row near a held-out row is left out, with any label."""
    rows = [(f"{CARD}?", label, TRAIN), (CARD, "a", side)]
    assert _outcome(rows) == ["NEAR_HELD_OUT", "KEPT"]


def test_test_rows_are_no_reason_for_validation_rows() -> None:
    """Both judge, so a validation row stays even if a test row is near."""
    assert _outcome([(CARD, "a", TEST), (f"{CARD}?", "a", VALIDATION)]) == ["KEPT", "KEPT"]


def test_the_threshold_decides() -> None:
    """Texts that are near duplicates at 0.6 are not at 0.99."""
    rows = [(CARD, "a", TRAIN), (f"{CARD}, please tell me", "a", TRAIN)]
    assert sorted(_outcome(rows, 0.6)) == ["KEPT", "NEAR_DUPLICATE"]
    assert _outcome(rows, 0.99) == ["KEPT", "KEPT"]


def test_texts_of_one_pattern_do_not_chain() -> None:
    """A row is excluded only because of a kept row, never because of an excluded one."""
    words = CARD.split()
    chain = [" ".join(["word"] * place + words[place:]) for place in range(len(words))]
    outcome = _outcome([(text, "a", TRAIN) for text in chain], 0.7)
    assert 1 < outcome.count("KEPT") < len(chain)


def test_texts_of_one_pattern_are_compared_beyond_the_first_of_their_bucket() -> None:
    """Among thousands of texts that share most words, the nearest are still compared."""
    random = Random(3)

    def letters(count: int) -> str:
        return "".join(random.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=count))

    codes = [letters(40) for _ in range(3000)]
    pattern = f"dear support team, {CARD}: {CARD.upper()}, and this is the number of my case: "
    held_out = [(f"{pattern}{code}", code, TEST) for code in codes]
    trains = [(f"{pattern}{code[:-15]}{letters(15)}", "a", TRAIN) for code in codes]
    sides = (pl.Series([text for text, *_ in side]) for side in (held_out, trains))
    near = similarity(*(signatures(side) for side in sides)) >= 0.85
    outcome = np.array(_outcome([*held_out, *trains], 0.85)[len(held_out) :])
    assert near.sum() > 1000
    assert (outcome[near] == "KEPT").mean() < 0.005


def test_the_order_of_rows_does_not_matter() -> None:
    """Shuffled rows keep the same texts."""
    random = Random(1)
    rows = [
        (f"{CARD} {random.randint(1, 40)}", "a", random.choice([TRAIN, TEST])) for _ in range(60)
    ]
    rows = list({text: (text, label, side) for text, label, side in rows}.values())

    def kept(rows: Sequence[Row]) -> set[Row]:
        return {row for row, rule in zip(rows, _outcome(rows), strict=True) if rule == "KEPT"}

    assert kept(random.sample(rows, len(rows))) == kept(rows)


def test_signatures_estimate_the_jaccard_similarity() -> None:
    """The estimate is as close to the true similarity as 128 values allow."""
    random = Random(2)
    pairs = []
    for _ in range(200):
        left = [random.choice("abcdefgh") for _ in range(300)]
        right = [c if random.random() > 0.03 else random.choice("ij") for c in left]
        pairs.append(("".join(left), "".join(right)))
    estimates = similarity(*(signatures(pl.Series(side)) for side in zip(*pairs, strict=True)))
    true = np.array([_jaccard(left, right) for left, right in pairs])
    # The standard deviation of one estimate is sqrt(s(1 - s) / 128) < 0.045.
    assert np.abs(estimates - true).max() < 0.2
    assert abs(float((estimates - true).mean())) < 0.01


def _jaccard(left: str, right: str) -> float:
    windows = [{text[i : i + 5] for i in range(len(text) - 4)} for text in (left, right)]
    return len(windows[0] & windows[1]) / len(windows[0] | windows[1])


@pytest.mark.parametrize("text", ["x", "caf\u00e9", "\u4f60\u597d", "x" * 5000])
def test_texts_of_any_length_have_signatures(text: str) -> None:
    """A short text, or one of a repeated window, is similar only to itself."""
    found = signatures(pl.Series([text, text, "something else"]))
    assert similarity(found[:1], found[1:2]).item() == 1.0
    assert similarity(found[:1], found[2:]).item() < 0.1
