"""The tables of preference pairs."""

from dataclasses import replace
from datetime import UTC

import pytest

from tests.contract.storage.values import NOW, at_once, later, preference
from tidemill_core.domain.preference import Preference, pair_of
from tidemill_core.storage.database import Page
from tidemill_core.storage.storage import Storage


def _all(storage: Storage) -> list[Preference]:
    """Return every judgement, oldest first."""
    return storage.preferences.page("", Page(1000))[0][::-1]


def test_reads_back_what_was_written(storage: Storage) -> None:
    """Judgements come back equal, in UTC, newest first."""
    first = preference()
    second = preference("é🎉\n", "x", prompt="漢字", reason="r", request_id="r1", task="")
    assert storage.preferences.add(first) == first
    assert storage.preferences.add(second) == second
    found, token = storage.preferences.page("", Page())
    assert (found, token) == ([second, first], "")
    assert found[0].create_time.tzinfo is UTC


def test_a_repeated_request_gets_the_first_answer(storage: Storage) -> None:
    """A repeated request id returns the first judgement, whatever is sent now."""
    first = storage.preferences.add(preference(request_id="r1"))
    again = storage.preferences.add(preference("a cat", "a dog", request_id="r1", annotator="ben"))
    assert again == first
    assert _all(storage) == [first]


def test_the_same_judgement_is_stored_once(storage: Storage) -> None:
    """A judgement without a request id that equals its annotator's latest returns that one."""
    first = storage.preferences.add(preference())
    storage.preferences.add(preference("a dog", "a cat"))
    assert storage.preferences.add(preference(create_time=later(1))) == first
    assert len(_all(storage)) == 2


@pytest.mark.parametrize(
    "change",
    [{"reason": "why"}, {"annotator": "ben"}, {"task": ""}, {"prompt": "WHAT did I lose?"}],
)
def test_another_judgement_is_stored(storage: Storage, change: dict[str, str]) -> None:
    """A judgement with another word, annotator or task is stored, and reverses nothing."""
    first = storage.preferences.add(preference())
    other = storage.preferences.add(preference(**change))
    assert _all(storage) == [first, other]
    assert other.replaced_preference_id == ""


@pytest.mark.parametrize("request_ids", [("", "", ""), ("r1", "r2", "r3")])
def test_a_changed_mind_names_what_it_replaces(
    storage: Storage, request_ids: tuple[str, ...]
) -> None:
    """A over B, then B over A, then A over B are three; each names the one it reverses."""
    sides = [("a card", "a cat"), ("A  CAT", "a card"), ("a card", "a cat")]
    given = [preference(*side, request_id=r) for side, r in zip(sides, request_ids, strict=True)]
    first, second, third = (storage.preferences.add(item) for item in given)
    assert first.replaced_preference_id == ""
    assert second.replaced_preference_id == first.preference_id
    assert third.replaced_preference_id == second.preference_id
    assert _all(storage) == [first, second, third]


def test_what_others_think_is_replaced_by_nobody(storage: Storage) -> None:
    """Annotators' judgements do not reverse each other, nor do those for two tasks."""
    storage.preferences.add(preference())
    for change in ({"annotator": "ben"}, {"task": "arxiv"}, {"prompt": "another"}):
        swapped = preference("a cat", "a card", **change)
        assert storage.preferences.add(swapped) == swapped


def test_pages_are_stable_and_filtered(storage: Storage) -> None:
    """Pages have each row of the task once, newest first, although rows are added."""
    given = [storage.preferences.add(preference(f"answer {n}")) for n in range(7)]
    storage.preferences.add(preference(task="arxiv"))
    seen, token = storage.preferences.page("support", Page(3))
    while token:
        storage.preferences.add(preference(f"late {len(seen)}"))
        rows, token = storage.preferences.page("support", Page.parse(3, token))
        seen += rows
    assert seen == given[::-1]


@pytest.mark.parametrize("request_id", ["r1", ""])
def test_one_judgement_from_many_threads(
    storage: Storage, second_storage: Storage, request_id: str
) -> None:
    """A judgement that eight threads send over two connection pools is stored once."""
    stores = [storage.preferences, second_storage.preferences]
    answers = at_once(lambda n: stores[n % 2].add(preference(request_id=request_id)), range(16))
    assert len({answer.preference_id for answer in answers}) == 1
    assert len(_all(storage)) == 1


def test_minds_that_change_at_once_make_one_chain(
    storage: Storage, second_storage: Storage
) -> None:
    """Each of several concurrent judgements reverses exactly the one stored before it."""
    stores = [storage.preferences, second_storage.preferences]
    sides = [("a card", "a cat"), ("a cat", "a card")]
    at_once(lambda n: stores[n % 2].add(preference(*sides[n // 2 % 2])), range(16))
    stored = _all(storage)
    assert [each.create_time for each in stored] == [NOW] * len(stored)
    ids = [each.preference_id for each in stored]
    assert [each.replaced_preference_id for each in stored] == ["", *ids[:-1]]


def test_a_pair_waits_until_its_annotator_has_judged_it(storage: Storage) -> None:
    """A pair is stored once; the least judged come first, and a judged pair is one of them."""
    store = storage.preferences
    old = store.add_pair(pair_of("support", "refund?", ("yes", "no"), NOW))
    assert store.add_pair(pair_of("support", "REFUND? ", ("NO", "yes"), later(1))) == old
    new = store.add_pair(pair_of("support", "where?", ("here", "there"), NOW))
    store.add_pair(pair_of("", "where?", ("here", "there"), NOW))
    store.add(preference("no", "yes", prompt="refund?", annotator="ben"))
    store.add(preference("yes", "no", prompt="refund?", annotator="ben"))
    judged = replace(old, judgement_count=1)
    assert store.waiting_pairs("support", "ana", 10) == [new, judged]
    assert store.waiting_pairs("support", "ana", 1) == [new]
    assert store.waiting_pairs("support", "ben", 10) == [new]
    own = store.add(preference())
    assert [pair.pair_id for pair in store.waiting_pairs("support", "ben", 10)] == [
        new.pair_id,
        own.pair_hash,
    ]
    assert store.waiting_pairs("support", "ana", 10) == [new, judged]
