"""How many calls may follow something at a time."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest

from tidemill_core.domain.access import ANONYMOUS, Authentication, Caller
from tidemill_server.rpc.watches import (
    MAX_WATCHES,
    MAX_WATCHES_OF_CALLER,
    TooManyWatches,
    Watches,
)
from tidemill_server.security.acting import current_caller

PATH, OTHER = "/JobService/WatchJobRun", "/ModelService/WatchRollout"
SHOP, BANK = (
    replace(
        ANONYMOUS, name=name, caller_id=f"api_key:{name}", authentication=Authentication.API_KEY
    )
    for name in ("shop", "bank")
)


@contextmanager
def acting(caller: Caller) -> Iterator[None]:
    """Make a caller the current one during the block."""
    before = current_caller.set(caller)
    try:
        yield
    finally:
        current_caller.reset(before)


def watch(watches: Watches, path: str, caller: Caller, times: int = 1) -> ExitStack:
    """Return the open watches of a caller."""
    with ExitStack() as opened, acting(caller):
        for _ in range(times):
            watches.check(path)
            opened.enter_context(watches.counted(path))
        return opened.pop_all()


def test_one_caller_leaves_room_for_others() -> None:
    """A caller at its bound is refused, until its watches end; others are not."""
    watches = Watches()
    with watch(watches, PATH, SHOP, MAX_WATCHES_OF_CALLER):
        with pytest.raises(TooManyWatches, match="'shop' follows this 64 times"):
            watch(watches, PATH, SHOP)
        with watch(watches, OTHER, SHOP), watch(watches, PATH, BANK):
            pass
    with watch(watches, PATH, SHOP):
        pass


def test_callers_without_a_credential_share_the_bound_of_the_process() -> None:
    """Nothing tells them apart, so only the bound of all callers holds."""
    watches = Watches()
    with (
        watch(watches, PATH, ANONYMOUS, MAX_WATCHES),
        pytest.raises(TooManyWatches, match="256 callers follow this"),
    ):
        watch(watches, PATH, ANONYMOUS)
