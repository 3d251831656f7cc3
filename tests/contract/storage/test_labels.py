"""Leases on label items, and annotators' judgements."""

from collections import Counter

import pytest

from tests.contract.storage.labeling import LEASE, all_items, lease, say, texts_of
from tests.contract.storage.values import NOW, at_once, judgement, label_request, later
from tidemill_core.domain.labeling import LabelItemState, LabelReason
from tidemill_core.errors import FailedPrecondition, InvalidArgument, NotFound
from tidemill_core.storage.label_leases import LeaseRequest
from tidemill_core.storage.storage import Storage


def test_the_oldest_are_handed_out_first_and_kept(storage: Storage) -> None:
    """A held item that needs one judgement is leased neither to others nor again to its holder."""
    storage.label_items.add([label_request(f"text {n}") for n in range(3)], 1, NOW)
    storage.label_items.add([label_request("of another", task="arxiv")], 1, NOW)
    held = lease(storage, count=2)
    assert texts_of(held) == ["text 0", "text 1"]
    assert {(item.state, item.lease_expire_time) for item in held} == {("LEASED", later(LEASE))}
    assert texts_of(lease(storage, "ben")) == ["text 2"]
    assert lease(storage) == []
    assert texts_of(all_items(storage, LabelItemState.LEASED)) == ["text 0", "text 1", "text 2"]


def test_audits_are_handed_out_before_older_items(storage: Storage) -> None:
    """Other kinds may come faster than labels, and accuracy is known by audits alone."""
    audit = label_request("audited", reason=LabelReason.AUDIT)
    storage.label_items.add([label_request("text 1"), label_request("text 2"), audit], 1, NOW)
    assert texts_of(lease(storage, count=1)) == ["audited"]
    assert texts_of(lease(storage, "ben", count=2)) == ["text 1", "text 2"]


def test_a_lease_that_ran_out_goes_to_who_asks_next(storage: Storage) -> None:
    """From its end on, an expired lease goes to the next annotator, not the first."""
    storage.label_items.add([label_request()], 1, NOW)
    lease(storage)
    assert lease(storage, "ben", seconds=LEASE - 0.001) == []
    assert len(all_items(storage, LabelItemState.OPEN, seconds=LEASE)) == 1
    assert len(lease(storage, "ben", seconds=LEASE)) == 1
    assert lease(storage, seconds=LEASE + 1) == []
    assert len(lease(storage, seconds=LEASE * 2)) == 1


def test_as_many_hold_an_item_as_it_wants_judgements(storage: Storage) -> None:
    """Judgements count as holders too; after a tie, one more judgement is needed."""
    storage.label_items.add([label_request()], 2, NOW)
    [item] = lease(storage)
    assert len(lease(storage, "ben")) == 1
    assert lease(storage, "cleo") == []
    say(storage, item, "a", "ana")
    assert lease(storage, "cleo") == []
    say(storage, item, "b", "ben")
    assert lease(storage) == []
    assert len(lease(storage, "cleo")) == 1
    assert lease(storage, "dan") == []


def test_a_repeated_lease_gets_the_same_items(storage: Storage) -> None:
    """A repeated request id returns the same items, for the same annotator only."""
    storage.label_items.add([label_request(f"text {n}") for n in range(4)], 1, NOW)
    first = lease(storage, count=2, request="r1")
    assert texts_of(lease(storage, count=2, request="r1")) == texts_of(first)
    assert texts_of(lease(storage, "ben", request="r1")) == ["text 2", "text 3"]
    say(storage, first[0], "a", "ana")
    assert texts_of(lease(storage, count=2, request="r1")) == ["text 1"]


def test_a_lease_that_ran_out_is_not_repeated(storage: Storage) -> None:
    """An expired lease returns free items only, none that another annotator holds."""
    storage.label_items.add([label_request("one"), label_request("two")], 1, NOW)
    lease(storage, count=2, request="r1")
    assert texts_of(lease(storage, "ben", count=1, seconds=LEASE)) == ["one"]
    [item] = lease(storage, count=2, seconds=LEASE, request="r1")
    assert (item.text, item.lease_expire_time) == ("two", later(2 * LEASE))


def test_counts_what_waits_for_an_annotator(storage: Storage) -> None:
    """Items that an annotator judged, and decided items, do not wait for them."""
    storage.label_items.add([label_request(f"text {n}") for n in range(3)], 2, NOW)
    [item] = lease(storage, count=1)
    say(storage, item, "a", "ana")
    wish = LeaseRequest("support", "ana", 1, later(LEASE))
    assert storage.label_items.lease(wish, NOW)[1] == 2
    say(storage, item, "a", "ben")
    wish = LeaseRequest("support", "cleo", 1, later(LEASE))
    assert storage.label_items.lease(wish, NOW)[1] == 2


def test_judgements_decide_an_item(storage: Storage) -> None:
    """With enough judgements, the most frequent label decides the item and closes it."""
    storage.label_items.add([label_request()], 2, NOW)
    [item] = lease(storage)
    stored, now = storage.label_items.submit("support", judgement(item.label_item_id, "a"), {})
    assert (now.state, now.label, now.judgements) == ("OPEN", "", (stored,))
    say(storage, item, "b", "ben", seconds=1)
    say(storage, item, "b", "cleo", seconds=2)
    [done] = storage.label_items.decided("support")
    assert (done.state, done.label, done.resolve_time) == ("DONE", "b", later(2))
    assert [each.annotator for each in done.judgements] == ["ana", "ben", "cleo"]
    with pytest.raises(FailedPrecondition, match="DONE") as closed:
        say(storage, item, "a", "dan")
    assert closed.value.reason == "LABEL_ITEM_CLOSED"


def test_an_item_that_people_cannot_agree_on_is_listed(storage: Storage) -> None:
    """After two extra judgements it is UNRESOLVED, and no longer leased."""
    storage.label_items.add([label_request()], 1, NOW)
    storage.label_items.add([label_request(reason=LabelReason.AUDIT)], 2, NOW)
    _, item = lease(storage)
    for annotator, label in zip("abcd", ("w", "x", "y", "z"), strict=True):
        say(storage, item, label, annotator)
    [found] = all_items(storage, LabelItemState.UNRESOLVED)
    assert (found.label_item_id, found.label, len(found.judgements)) == (item.label_item_id, "", 4)
    assert item.label_item_id not in [each.label_item_id for each in lease(storage, "eve")]


def test_who_is_late_is_heard(storage: Storage) -> None:
    """A judgement after the lease counts while the item waits, even if another holds it."""
    storage.label_items.add([label_request()], 1, NOW)
    [item] = lease(storage)
    assert len(lease(storage, "ben", seconds=LEASE)) == 1
    say(storage, item, "a", "ana", seconds=LEASE + 1)
    assert storage.label_items.decided("support")[0].label == "a"
    with pytest.raises(FailedPrecondition):
        say(storage, item, "b", "ben", seconds=LEASE + 2)
    [done] = storage.label_items.decided("support")
    assert [each.annotator for each in done.judgements] == ["ana"]


def test_an_annotator_is_heard_once(storage: Storage) -> None:
    """The same label again returns the first judgement, decided or not; another is refused."""
    storage.label_items.add([label_request()], 2, NOW)
    [item] = lease(storage)
    first = judgement(item.label_item_id, "a", request_id="r1")
    stored, _ = storage.label_items.submit("support", first, {})
    for request_id in ("", "r2"):
        again = judgement(item.label_item_id, "a", request_id=request_id, create_time=later(1))
        assert storage.label_items.submit("support", again, {})[0] == stored
    with pytest.raises(FailedPrecondition, match="already judged this item as 'a'") as refused:
        say(storage, item, "b", "ana")
    assert refused.value.reason == "ALREADY_JUDGED"
    assert [each.judgements for each in all_items(storage)] == [(stored,)]


def test_a_request_id_is_one_judgements_alone(storage: Storage) -> None:
    """A request id of another item or annotator is refused."""
    storage.label_items.add([label_request("one"), label_request("two")], 2, NOW)
    one, two = all_items(storage)
    storage.label_items.submit("support", judgement(one.label_item_id, "a", request_id="r1"), {})
    for item, annotator in ((two, "ana"), (one, "ben"), (two, "ben")):
        again = judgement(item.label_item_id, "b", request_id="r1", annotator=annotator)
        with pytest.raises(InvalidArgument) as refused:
            storage.label_items.submit("support", again, {})
        assert refused.value.reason == "REQUEST_ID_REUSED"
    assert [len(item.judgements) for item in all_items(storage)] == [1, 0]


def test_only_the_tasks_own_items_are_judged(storage: Storage) -> None:
    """An item of another task, and an unknown one, are not found."""
    storage.label_items.add([label_request()], 1, NOW)
    [item] = lease(storage)
    for task, item_id in (("arxiv", item.label_item_id), ("support", "x" * 32)):
        with pytest.raises(NotFound) as missing:
            storage.label_items.submit(task, judgement(item_id), {})
        assert missing.value.reason == "LABEL_ITEM_NOT_FOUND"


@pytest.mark.parametrize("wanted", [1, 3])
def test_no_item_is_handed_out_too_often(
    storage: Storage, second_storage: Storage, wanted: int
) -> None:
    """Twelve concurrent annotators hold each item as often as it needs judgements."""
    storage.label_items.add([label_request(f"text {n}") for n in range(5)], wanted, NOW)
    stores = [storage, second_storage]
    leased = at_once(lambda n: lease(stores[n % 2], f"annotator {n}", count=2), range(12))
    counts = Counter(item.label_item_id for items in leased for item in items)
    assert list(counts.values()) == [wanted] * 5
    assert all(len({item.label_item_id for item in items}) == len(items) for items in leased)


def test_judgements_sent_at_once_are_counted_once(
    storage: Storage, second_storage: Storage
) -> None:
    """Of concurrent repeated judgements, exactly as many count as decide the item."""
    storage.label_items.add([label_request()], 3, NOW)
    [item] = all_items(storage)
    stores = [storage, second_storage]

    def judge(number: int) -> str:
        annotator = f"annotator {number // 2}"
        try:
            say(stores[number % 2], item, "a", annotator)
        except FailedPrecondition as refused:
            return refused.reason
        return annotator

    answers = at_once(judge, range(16))
    [done] = storage.label_items.decided("support")
    heard = [each.annotator for each in done.judgements]
    assert len(heard) == len(set(heard)) == 3
    assert set(answers) == {*heard, "LABEL_ITEM_CLOSED"}


def test_judgements_that_name_one_label_agree(storage: Storage) -> None:
    """By an old name and by the new one; what an annotator said is stored as they said it."""
    storage.label_items.add([label_request()], 2, NOW)
    [item] = all_items(storage)
    renames = {"old": "new"}
    for annotator, label in (("ana", "old"), ("ana", "new"), ("ben", "new")):
        said = judgement(item.label_item_id, label, annotator=annotator)
        storage.label_items.submit("support", said, renames)
    [done] = all_items(storage)
    assert (done.state, done.label) == ("DONE", "new")
    assert [each.label for each in done.judgements] == ["old", "new"]
