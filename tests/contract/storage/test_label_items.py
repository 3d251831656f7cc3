"""The tables of label items and of people's labels."""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.contract.storage.values import NOW, at_once, judgement, label_request, later
from tidemill_core.domain.labeling import LabelItem, LabelItemState, LabelReason
from tidemill_core.errors import FailedPrecondition, NotFound
from tidemill_core.storage.database import Page
from tidemill_core.storage.label_leases import LeaseRequest
from tidemill_core.storage.storage import Storage

LEASE = 60.0
"""Seconds."""


def _all(storage: Storage, *states: LabelItemState, seconds: float = 0) -> list[LabelItem]:
    """Every item in one of the states, oldest first."""
    found = storage.label_items.page("", states, None, Page(1000), later(seconds))[0]
    return found[::-1]


def _lease(
    storage: Storage, annotator: str = "ana", count: int = 10, seconds: float = 0, request: str = ""
) -> list[LabelItem]:
    """What an annotator gets so many seconds after NOW, for LEASE seconds."""
    wish = LeaseRequest("support", annotator, count, later(seconds + LEASE), request)
    return storage.label_items.lease(wish, later(seconds))[0]


def _texts(items: list[LabelItem]) -> list[str]:
    return [item.text for item in items]


def _say(storage: Storage, item: LabelItem, label: str, annotator: str, seconds: float = 0) -> None:
    said = judgement(item.label_item_id, label, annotator=annotator, create_time=later(seconds))
    storage.label_items.submit("support", said)


def test_reads_back_what_was_queued(storage: Storage) -> None:
    """Items come back as they were asked for, open, newest first."""
    audit = label_request(
        "漢字🎉\n",
        reason=LabelReason.AUDIT,
        suggested_labels=("é", "b"),
        inclusion_probability=0.01,
        origin="p1",
    )
    assert storage.label_items.add([label_request("first"), audit], 3, NOW) == 2
    [second, first], token = storage.label_items.page("support", (), None, Page(), NOW)
    assert (first.text, first.inclusion_probability, first.suggested_labels) == ("first", None, ())
    assert (second.text, second.reason) == ("漢字🎉\n", LabelReason.AUDIT)
    assert (second.suggested_labels, second.inclusion_probability) == (("é", "b"), 0.01)
    assert (second.state, second.judgements_wanted, second.judgements) == ("OPEN", 3, ())
    assert (second.create_time, second.resolve_time, token) == (NOW, None, "")


def test_a_text_waits_once_for_each_reason(storage: Storage) -> None:
    """The same text but for case and spacing is queued again for another reason or task only."""
    assert storage.label_items.add([label_request(), label_request("WHERE is  my card?")], 1, NOW)
    assert storage.label_items.add([label_request()], 1, NOW) == 0
    others = [label_request(reason=LabelReason.AUDIT), label_request(task="arxiv")]
    assert storage.label_items.add(others, 1, NOW) == 2
    assert len(_all(storage)) == 3
    [item] = _lease(storage, count=1)
    _say(storage, item, "lost_card", "ana")
    assert storage.label_items.add([label_request()], 1, NOW) == 1


def test_an_origin_is_asked_about_once_for_each_reason(storage: Storage) -> None:
    """Whatever was made of it, and with the text that it shares with another origin."""
    same = [label_request(origin="p1"), label_request(origin="p2")]
    assert storage.label_items.add(same, 1, NOW) == 1
    [item] = _lease(storage)
    _say(storage, item, "lost_card", "ana")
    assert storage.label_items.add(same, 1, NOW) == 0
    assert storage.label_items.add([label_request(origin="p1", task="arxiv")], 1, NOW) == 1


def test_many_are_queued_by_several_at_once(storage: Storage, second_storage: Storage) -> None:
    """Of threads that queue the same texts each text is queued once, beyond one transaction too."""
    requests = [label_request(f"text {n}", origin=f"p{n}") for n in range(600)]
    stores = [storage.label_items, second_storage.label_items]
    added = at_once(lambda n: stores[n % 2].add(requests, 1, NOW), range(2), threads=2)
    assert sum(added) == len(_all(storage)) == 600


def test_the_oldest_are_handed_out_first_and_kept(storage: Storage) -> None:
    """What one holds nobody else gets where one judgement is wanted, nor they themselves again."""
    storage.label_items.add([label_request(f"text {n}") for n in range(3)], 1, NOW)
    storage.label_items.add([label_request("of another", task="arxiv")], 1, NOW)
    held = _lease(storage, count=2)
    assert _texts(held) == ["text 0", "text 1"]
    assert {(item.state, item.lease_expire_time) for item in held} == {("LEASED", later(LEASE))}
    assert _texts(_lease(storage, "ben")) == ["text 2"]
    assert _lease(storage) == []
    assert _texts(_all(storage, LabelItemState.LEASED)) == ["text 0", "text 1", "text 2"]


def test_a_lease_that_ran_out_goes_to_who_asks_next(storage: Storage) -> None:
    """From its last moment on; and then it is not the first holder's."""
    storage.label_items.add([label_request()], 1, NOW)
    _lease(storage)
    assert _lease(storage, "ben", seconds=LEASE - 0.001) == []
    assert len(_all(storage, LabelItemState.OPEN, seconds=LEASE)) == 1
    assert len(_lease(storage, "ben", seconds=LEASE)) == 1
    assert _lease(storage, seconds=LEASE + 1) == []
    assert len(_lease(storage, seconds=LEASE * 2)) == 1


def test_as_many_hold_an_item_as_it_wants_judgements(storage: Storage) -> None:
    """Judgements that are in count too; after a tie one more is wanted."""
    storage.label_items.add([label_request()], 2, NOW)
    [item] = _lease(storage)
    assert len(_lease(storage, "ben")) == 1
    assert _lease(storage, "cleo") == []
    _say(storage, item, "a", "ana")
    assert _lease(storage, "cleo") == []
    _say(storage, item, "b", "ben")
    assert _lease(storage) == []
    assert len(_lease(storage, "cleo")) == 1
    assert _lease(storage, "dan") == []


def test_a_repeated_lease_gets_the_same_items(storage: Storage) -> None:
    """A request id that was seen names its items, for that annotator alone."""
    storage.label_items.add([label_request(f"text {n}") for n in range(4)], 1, NOW)
    first = _lease(storage, count=2, request="r1")
    assert _texts(_lease(storage, count=2, request="r1")) == _texts(first)
    assert _texts(_lease(storage, "ben", request="r1")) == ["text 2", "text 3"]


def test_counts_what_waits_for_an_annotator(storage: Storage) -> None:
    """What they judged and what is decided does not wait for them."""
    storage.label_items.add([label_request(f"text {n}") for n in range(3)], 2, NOW)
    [item] = _lease(storage, count=1)
    _say(storage, item, "a", "ana")
    wish = LeaseRequest("support", "ana", 1, later(LEASE))
    assert storage.label_items.lease(wish, NOW)[1] == 2
    _say(storage, item, "a", "ben")
    wish = LeaseRequest("support", "cleo", 1, later(LEASE))
    assert storage.label_items.lease(wish, NOW)[1] == 2


def test_judgements_decide_an_item(storage: Storage) -> None:
    """With the wanted number in, the label that most gave is the item's, and it is closed."""
    storage.label_items.add([label_request()], 2, NOW)
    [item] = _lease(storage)
    stored, now = storage.label_items.submit("support", judgement(item.label_item_id, "a"))
    assert (now.state, now.label, now.judgements) == ("OPEN", "", (stored,))
    _say(storage, item, "b", "ben", seconds=1)
    _say(storage, item, "b", "cleo", seconds=2)
    [done] = storage.label_items.decided("support")
    assert (done.state, done.label, done.resolve_time) == ("DONE", "b", later(2))
    assert [each.annotator for each in done.judgements] == ["ana", "ben", "cleo"]
    with pytest.raises(FailedPrecondition, match="DONE") as closed:
        _say(storage, item, "a", "dan")
    assert closed.value.reason == "LABEL_ITEM_CLOSED"


def test_an_item_that_people_cannot_agree_on_is_listed(storage: Storage) -> None:
    """After two judgements more than wanted it is UNRESOLVED, and handed out no more."""
    storage.label_items.add([label_request()], 1, NOW)
    storage.label_items.add([label_request(reason=LabelReason.AUDIT)], 2, NOW)
    _, item = _lease(storage)
    for annotator, label in zip("abcd", ("w", "x", "y", "z"), strict=True):
        _say(storage, item, label, annotator)
    [found] = _all(storage, LabelItemState.UNRESOLVED)
    assert (found.label_item_id, found.label, len(found.judgements)) == (item.label_item_id, "", 4)
    assert item.label_item_id not in [each.label_item_id for each in _lease(storage, "eve")]


def test_who_is_late_is_heard(storage: Storage) -> None:
    """A judgement after the lease, even while another holds the item, counts while it waits."""
    storage.label_items.add([label_request()], 1, NOW)
    [item] = _lease(storage)
    assert len(_lease(storage, "ben", seconds=LEASE)) == 1
    _say(storage, item, "a", "ana", seconds=LEASE + 1)
    assert storage.label_items.decided("support")[0].label == "a"
    with pytest.raises(FailedPrecondition):
        _say(storage, item, "b", "ben", seconds=LEASE + 2)
    [done] = storage.label_items.decided("support")
    assert [each.annotator for each in done.judgements] == ["ana"]


def test_an_annotator_is_heard_once(storage: Storage) -> None:
    """The same again is the first answer, decided or not; another label is refused."""
    storage.label_items.add([label_request()], 2, NOW)
    [item] = _lease(storage)
    first = judgement(item.label_item_id, "a", request_id="r1")
    stored, _ = storage.label_items.submit("support", first)
    for request_id in ("", "r2"):
        again = judgement(item.label_item_id, "a", request_id=request_id, create_time=later(1))
        assert storage.label_items.submit("support", again)[0] == stored
    other = judgement(item.label_item_id, "b", request_id="r1", annotator="ben")
    assert storage.label_items.submit("support", other)[0] == stored
    with pytest.raises(FailedPrecondition, match="already, as 'a'") as refused:
        _say(storage, item, "b", "ana")
    assert refused.value.reason == "ALREADY_JUDGED"
    assert [each.judgements for each in _all(storage)] == [(stored,)]


def test_only_the_tasks_own_items_are_judged(storage: Storage) -> None:
    """An item of another task, and one that never was, are not found."""
    storage.label_items.add([label_request()], 1, NOW)
    [item] = _lease(storage)
    for task, item_id in (("arxiv", item.label_item_id), ("support", "x" * 32)):
        with pytest.raises(NotFound) as missing:
            storage.label_items.submit(task, judgement(item_id))
        assert missing.value.reason == "LABEL_ITEM_NOT_FOUND"


def test_pages_are_stable_and_filtered(storage: Storage) -> None:
    """Pages hold each item of the task, reason and states once, newest first."""
    storage.label_items.add([label_request(f"text {n}") for n in range(7)], 1, NOW)
    storage.label_items.add([label_request(reason=LabelReason.AUDIT)], 1, NOW)
    storage.label_items.add([label_request(task="arxiv")], 1, NOW)
    _lease(storage, count=2)
    states = (LabelItemState.OPEN, LabelItemState.DONE)

    def pages() -> Iterator[list[LabelItem]]:
        token = ""
        while True:
            page = Page.parse(2, token)
            rows, token = storage.label_items.page(
                "support", states, LabelReason.UNCERTAIN, page, NOW
            )
            yield rows
            if not token:
                return
            storage.label_items.add([label_request(f"late {token}")], 1, NOW)

    assert _texts([item for rows in pages() for item in rows]) == [
        f"text {n}" for n in (6, 5, 4, 3, 2)
    ]


def test_texts_are_removed_by_their_age(storage: Storage) -> None:
    """Without its text an item that waits is EXPIRED, and one that is decided teaches no more."""
    requests = [label_request(f"text {n}", text_time=later(n)) for n in range(3)]
    storage.label_items.add(requests, 1, later(9))
    [item] = _lease(storage, count=1)
    _say(storage, item, "a", "ana")
    assert storage.label_items.expire_texts("support", later(2), 1) == 1
    assert storage.label_items.expire_texts("arxiv", later(2), 10) == 0
    assert storage.label_items.expire_texts("support", later(2), 10) == 1
    found = [(each.state, each.text, each.label) for each in _all(storage)]
    assert found == [("DONE", "", "a"), ("EXPIRED", "", ""), ("OPEN", "text 2", "")]
    assert storage.label_items.decided("support") == []
    assert storage.label_items.add(requests, 1, NOW) == 2
    assert storage.label_items.add(requests, 1, NOW) == 0


@pytest.mark.parametrize("wanted", [1, 3])
def test_no_item_is_handed_out_too_often(
    storage: Storage, second_storage: Storage, wanted: int
) -> None:
    """Twelve annotators who lease at once hold each item as often as it wants judgements."""
    storage.label_items.add([label_request(f"text {n}") for n in range(5)], wanted, NOW)
    stores = [storage, second_storage]
    leased = at_once(lambda n: _lease(stores[n % 2], f"annotator {n}", count=2), range(12))
    counts = Counter(item.label_item_id for items in leased for item in items)
    assert list(counts.values()) == [wanted] * 5
    assert all(len({item.label_item_id for item in items}) == len(items) for items in leased)


def test_judgements_sent_at_once_are_counted_once(
    storage: Storage, second_storage: Storage
) -> None:
    """Of many annotators who send theirs twice at once, as many are heard as decide the item."""
    storage.label_items.add([label_request()], 3, NOW)
    [item] = _all(storage)
    stores = [storage, second_storage]

    def say(number: int) -> str:
        annotator = f"annotator {number // 2}"
        try:
            _say(stores[number % 2], item, "a", annotator)
        except FailedPrecondition as refused:
            return refused.reason
        return annotator

    answers = at_once(say, range(16))
    [done] = storage.label_items.decided("support")
    heard = [each.annotator for each in done.judgements]
    assert len(heard) == len(set(heard)) == 3
    assert set(answers) == {*heard, "LABEL_ITEM_CLOSED"}
