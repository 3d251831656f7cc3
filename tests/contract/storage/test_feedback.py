"""The table of feedback."""

from datetime import UTC

import pytest

from tests.contract.storage.values import NOW, at_once, later, prediction, verdict
from tidemill_core.storage.database import Page
from tidemill_core.storage.storage import Storage


def _count(storage: Storage) -> int:
    return len(storage.feedback.page("", "", Page(1000))[0])


def test_reads_back_what_was_written(storage: Storage) -> None:
    """Verdicts come back equal, in UTC and in order."""
    batch = [verdict("p1"), verdict("p2", label=None, correct=False, comment="é🎉", text="t")]
    assert storage.feedback.add(batch) == batch
    found, token = storage.feedback.page("support", "", Page())
    assert found == batch[::-1]
    assert token == ""
    assert found[0].create_time.tzinfo is UTC


def test_nothing_to_write(storage: Storage) -> None:
    """An empty batch returns an empty list."""
    assert storage.feedback.add([]) == []


def test_a_repeated_request_gets_the_first_answer(storage: Storage) -> None:
    """A repeated request id returns the first verdict, whatever is sent now."""
    [first] = storage.feedback.add([verdict(request_id="r1")])
    again = storage.feedback.add([verdict("p2", request_id="r1", label="other")])
    assert again == [first]
    assert _count(storage) == 1


def test_a_request_repeated_within_a_batch(storage: Storage) -> None:
    """A request id that occurs twice in one batch is stored once."""
    one, two = storage.feedback.add([verdict(request_id="r1"), verdict(request_id="r1")])
    assert one == two
    assert _count(storage) == 1


def test_the_same_verdict_is_stored_once(storage: Storage) -> None:
    """A verdict without a request id that equals its source's latest returns that one."""
    [first] = storage.feedback.add([verdict()])
    assert storage.feedback.add([verdict(), verdict()]) == [first, first]
    assert _count(storage) == 1


def test_sources_do_not_mix(storage: Storage) -> None:
    """Two sources may give the same verdict; each is stored."""
    storage.feedback.add([verdict(source="ana"), verdict(source="ben")])
    assert _count(storage) == 2


@pytest.mark.parametrize("in_one_batch", [True, False])
def test_a_changed_mind_is_kept(storage: Storage, in_one_batch: bool) -> None:
    """A, then B, then A again are three verdicts, and the last one counts."""
    items = [verdict(label=label) for label in ("a", "b", "a")]
    for batch in [items] if in_one_batch else [[item] for item in items]:
        storage.feedback.add(batch)
    assert _count(storage) == 3
    assert storage.feedback.latest_verdicts("support") == [items[2]]


@pytest.mark.parametrize("in_one_batch", [True, False])
def test_a_changed_mind_with_request_ids_between(storage: Storage, in_one_batch: bool) -> None:
    """A verdict with a request id also counts as its source's latest."""
    items = [verdict(label="a"), verdict(label="b", request_id="r1"), verdict(label="a")]
    for batch in [items] if in_one_batch else [[item] for item in items]:
        storage.feedback.add(batch)
    assert storage.feedback.latest_verdicts("support") == [items[2]]


def test_latest_verdicts(storage: Storage) -> None:
    """Each source's latest verdict on each prediction of the task counts."""
    old = verdict("p1", source="ana", create_time=later(-10))
    kept = verdict("p2", source="ana")
    newer = verdict("p1", source="ben", label="b", create_time=later(1))
    storage.feedback.add([old, kept, newer, verdict("p3", task="arxiv")])
    assert storage.feedback.latest_verdicts("support") == [old, kept, newer]


def test_labeled_texts(storage: Storage) -> None:
    """Each text and label counts once, by the latest verdict; a bare no gives no label."""
    storage.predictions.add([prediction(f"p{number}", f"t{number % 4}") for number in range(8)])
    storage.feedback.add(
        [
            *(verdict(f"p{number}", label="a") for number in (1, 5)),
            verdict("p1", label="b", source="ben"),
            verdict("p2", label=None, correct=True, create_time=later(1)),
            verdict("p3", label=None, correct=False, create_time=later(1)),
            verdict("p4", label="a", create_time=later(1)),
            verdict("p4", label=None, correct=False, create_time=later(1)),
            verdict("p0", task="arxiv"),
        ]
    )
    everything = [("t1", "a"), ("t1", "b"), ("t2", "card_arrival")]
    assert sorted(storage.feedback.labeled_texts("support", None)) == everything
    assert storage.feedback.labeled_texts("support", NOW) == [("t2", "card_arrival")]


def test_what_has_no_text_teaches_nothing(storage: Storage) -> None:
    """A text must be stored or sent; a confirmed prediction's label must be stored."""
    storage.predictions.add([prediction("bare", text=""), prediction("hashed", "", text_hash="h")])
    storage.feedback.add([verdict("bare"), verdict("hashed"), verdict("gone")])
    assert storage.feedback.labeled_texts("support", None) == []
    storage.feedback.add([verdict("bare", text="t"), verdict("gone", text="u", source="bob")])
    storage.feedback.add([verdict("gone2", label=None, correct=True, text="t")])
    storage.feedback.add([verdict("bare", source="bob")])
    taught = [("t", "lost_card"), ("u", "lost_card")]
    assert sorted(storage.feedback.labeled_texts("support", None)) == taught


def test_given_texts_expire(storage: Storage) -> None:
    """A task's texts older than a time are removed in bounded batches; the verdicts stay."""
    old = [verdict(f"p{n}", text="old", create_time=later(n - 5)) for n in range(5)]
    kept = [verdict("p5", text="new"), verdict("p6", task="arxiv", text="t", create_time=later(-9))]
    storage.feedback.add([*old, *kept])
    assert [storage.feedback.expire_texts("support", NOW, 3) for _ in range(3)] == [3, 2, 0]
    texts = {each.prediction_id: each.text for each in storage.feedback.page("", "", Page())[0]}
    assert texts == {f"p{n}": "" for n in range(5)} | {"p5": "new", "p6": "t"}


def test_a_batch_larger_than_a_query(storage: Storage) -> None:
    """Repeats are found among more keys than one query takes."""
    batch = [verdict(f"p{n}", request_id=f"r{n}" if n % 2 else "") for n in range(1201)]
    storage.feedback.add(batch)
    again = [verdict(f"p{n}", request_id=f"r{n}" if n % 2 else "") for n in range(1201)]
    assert storage.feedback.add(again) == batch


def test_pages_are_stable(storage: Storage) -> None:
    """Pages have each row once, newest first, although rows are added in between."""
    given = [verdict(f"p{n}") for n in range(7)]
    storage.feedback.add(given)
    seen, token = storage.feedback.page("", "", Page(3))
    while token:
        storage.feedback.add([verdict(f"late{len(seen)}")])
        rows, token = storage.feedback.page("", "", Page.parse(3, token))
        seen += rows
    assert seen == given[::-1]


def test_pages_are_filtered(storage: Storage) -> None:
    """A page has feedback of the requested task and prediction only."""
    mine, other = verdict("p1"), verdict("p2", task="arxiv")
    storage.feedback.add([mine, other])
    assert storage.feedback.page("support", "", Page())[0] == [mine]
    assert storage.feedback.page("", "p2", Page())[0] == [other]
    assert storage.feedback.page("support", "p2", Page())[0] == []


def test_one_request_from_many_threads(storage: Storage, second_storage: Storage) -> None:
    """A request id that eight threads send over two connection pools is stored once."""
    stores = [storage.feedback, second_storage.feedback]
    answers = at_once(lambda n: stores[n % 2].add([verdict(request_id="r1")])[0], range(16))
    assert len(set(map(repr, answers))) == 1
    assert _count(storage) == 1


def test_one_verdict_from_many_threads(storage: Storage, second_storage: Storage) -> None:
    """The same verdict without a request id, sent by eight threads, is stored once."""
    stores = [storage.feedback, second_storage.feedback]
    answers = at_once(lambda n: stores[n % 2].add([verdict()])[0], range(16))
    assert len(set(map(repr, answers))) == 1
    assert _count(storage) == 1


def test_verdicts_are_counted_by_what_they_say(storage: Storage) -> None:
    """Verdicts from before the time and of other tasks do not count."""
    said = [
        verdict("p1", label=None, correct=True),
        verdict("p2", label=None, correct=False),
        verdict("p3", label="card"),
        verdict("p4", label="fees"),
    ]
    storage.feedback.add(said)
    counts = storage.feedback.verdict_counts("support", NOW)
    assert counts == {"right": 1, "wrong": 1, "label": 2}
    assert sum(storage.feedback.verdict_counts("support", later(86_400)).values()) == 0
    assert sum(storage.feedback.verdict_counts("other", NOW).values()) == 0
