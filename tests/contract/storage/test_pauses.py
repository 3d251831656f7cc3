"""Pauses of tasks."""

from dataclasses import replace

from tests.contract.storage.values import NOW, later
from tidemill_core.domain.pause import ReleasePause
from tidemill_core.storage.storage import Storage

PAUSE = ReleasePause("support", "ann", "labels are checked", NOW)


def test_a_task_is_paused_until_it_is_resumed(storage: Storage) -> None:
    """The last pause counts; others tasks are not paused, and resuming twice changes nothing."""
    assert storage.pauses.get("support") is None
    storage.pauses.pause(PAUSE)
    assert storage.pauses.get("support") == PAUSE
    again = replace(PAUSE, actor="bob", create_time=later(5))
    storage.pauses.pause(again)
    assert storage.pauses.get("support") == again
    assert storage.pauses.get("other") is None
    for was_paused in (True, False):
        assert storage.pauses.resume("support") is was_paused
        assert storage.pauses.get("support") is None
