"""Shadows, canaries and the history of deployments."""

import pytest

from tests.contract.storage.values import change, validated
from tidemill_core.domain.model import ModelState
from tidemill_core.domain.traffic import Traffic
from tidemill_core.errors import FailedPrecondition, IllegalTransition
from tidemill_core.storage.database import Page
from tidemill_core.storage.storage import Storage

TASK = "support"


def _state(storage: Storage, version: int) -> ModelState:
    return storage.models.get(TASK, version).state


def test_shadow_canary_champion(storage: Storage) -> None:
    """A version goes from shadow to canary to champion, and then has no share of its own."""
    for _ in range(2):
        validated(storage)
    storage.models.promote(TASK, 1, change())
    shadow = storage.models.set_traffic(TASK, Traffic(shadows=(2,)), change())
    assert (shadow.shadows, shadow.canaries) == ((2,), {})
    assert _state(storage, 2) is ModelState.SHADOW
    canary = storage.models.set_traffic(TASK, Traffic({2: 10}), change())
    assert (canary.shadows, canary.canaries) == ((), {2: 10})
    assert _state(storage, 2) is ModelState.CANARY
    champion = storage.models.promote(TASK, 2, change())
    assert (champion.champion, champion.shadows, champion.canaries) == (2, (), {})
    assert _state(storage, 2) is ModelState.CHAMPION


def test_what_leaves_the_traffic_is_rolled_back(storage: Storage) -> None:
    """A shadow or canary that is left out is rolled back; the others stay."""
    for _ in range(3):
        validated(storage)
    storage.models.promote(TASK, 1, change())
    storage.models.set_traffic(TASK, Traffic(shadows=(2, 3)), change())
    storage.models.set_traffic(TASK, Traffic({2: 5}, (3,)), change())
    storage.models.set_traffic(TASK, Traffic({2: 50}), change())
    assert _state(storage, 2) is ModelState.CANARY
    assert _state(storage, 3) is ModelState.ROLLED_BACK


def test_half_an_illegal_change_is_undone(storage: Storage) -> None:
    """If one version's step is illegal, no version of that change moves."""
    for _ in range(3):
        validated(storage)
    before = storage.models.promote(TASK, 1, change())
    with pytest.raises(IllegalTransition):
        storage.models.set_traffic(TASK, Traffic({3: 10}, (2,)), change())
    assert storage.models.deployment(TASK) == before
    assert _state(storage, 2) is _state(storage, 3) is ModelState.VALIDATED


def test_only_what_is_loaded_is_routed_to(storage: Storage) -> None:
    """Traffic goes neither to a retired version nor to one that is not loaded."""
    for _ in range(3):
        validated(storage)
    storage.models.promote(TASK, 1, change())
    before = storage.models.promote(TASK, 3, change())
    with pytest.raises(IllegalTransition):
        storage.models.promote(TASK, 1, change())
    for attempt in (
        lambda: storage.models.promote(TASK, 2, change()),
        lambda: storage.models.set_traffic(TASK, Traffic(shadows=(2,)), change()),
    ):
        with pytest.raises(FailedPrecondition) as refused:
            attempt()
        assert refused.value.reason == "MODEL_VERSION_NOT_SERVED"
    assert storage.models.deployment(TASK) == before


def test_repeats_get_the_first_answer(storage: Storage) -> None:
    """Promote, set_traffic and rollback return the first result for a repeated request id."""
    for _ in range(3):
        validated(storage)
    storage.models.promote(TASK, 1, change())
    promoted = storage.models.promote(TASK, 2, change("r1"))
    shared = storage.models.set_traffic(TASK, Traffic(shadows=(3,)), change("r2"))
    back = storage.models.rollback(TASK, change("r3"))
    assert storage.models.promote(TASK, 2, change("r1", seconds=9)) == promoted
    assert storage.models.set_traffic(TASK, Traffic(), change("r2", seconds=9)) == shared
    assert storage.models.rollback(TASK, change("r3", seconds=9)) == back
    assert storage.models.deployment(TASK) == back


def test_history_is_never_overwritten(storage: Storage) -> None:
    """Every change is its own deployment, in order, with its actor and comment."""
    for _ in range(2):
        validated(storage)
    made = [
        storage.models.promote(TASK, 1, change(comment="first")),
        storage.models.set_traffic(TASK, Traffic(shadows=(2,)), change(comment="try")),
        storage.models.set_traffic(TASK, Traffic({2: 20}), change(comment="share")),
        storage.models.promote(TASK, 2, change(comment="take over")),
        storage.models.rollback(TASK, change(comment="worse")),
    ]
    seen, token = storage.models.deployments_page(TASK, Page(2))
    while token:
        rows, token = storage.models.deployments_page(TASK, Page.parse(2, token))
        seen += rows
    assert seen == made[::-1]
    assert [one.comment for one in made] == ["first", "try", "share", "take over", "worse"]
