"""Rows in the order in which other systems get them."""

from tests.contract.storage.values import later, prediction, verdict
from tidemill_core.storage.storage import Storage


def test_a_position_belongs_to_a_receiver_a_task_and_a_stream(storage: Storage) -> None:
    """It is empty at the start, and the last one counts."""
    exports = storage.exports
    assert exports.position("arize", "support", "verdicts") == ""
    for position in ("1", "2"):
        exports.advance("arize", "support", "verdicts", position)
    exports.advance("arize", "other", "verdicts", "9")
    assert exports.position("arize", "support", "verdicts") == "2"
    assert exports.position("other", "support", "verdicts") == ""


def test_predictions_of_one_time_are_read_once_each(storage: Storage) -> None:
    """Pages continue after a time and an id, without shadows and other versions."""
    rows = [prediction(f"p{n}", predict_time=later(n // 2)) for n in range(5)]
    others = [prediction("s", method="Shadow"), prediction("v", model_version=9)]
    storage.predictions.add([*rows, *others])
    version, seen, after = rows[0].model_version, [], None
    while True:
        page = storage.exports.predictions("support", version, after, later(2), 1)
        if not page:
            break
        seen += [each.prediction_id for each in page]
        after = (page[-1].predict_time, page[-1].prediction_id)
    assert seen == ["p0", "p1", "p2", "p3"]


def test_a_confirmed_answer_is_its_label(storage: Storage) -> None:
    """A verdict that an answer is wrong has no label, nor one on an answer that is not stored."""
    stored = prediction("p1")
    storage.predictions.add([stored])
    said = [
        verdict("p1", label=None, correct=True),
        verdict("p2", label=None, correct=True),
        verdict("p3", label=None, correct=False),
        verdict("p4", label="fees"),
    ]
    storage.feedback.add(said)
    found = storage.exports.verdicts("support", 0, later(9), 10)
    assert [each.label for each in found] == [stored.label, None, None, "fees"]
    assert storage.exports.verdicts("support", found[2].sequence, later(9), 10) == found[3:]
