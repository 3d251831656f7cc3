"""Streams whose callers are checked again."""

from tests.unit.server.security.world import HEALTH, PREDICT, World, bearer
from tidemill_core.domain.access import Scope
from tidemill_core.errors import TidemillError
from tidemill_server.security.open_streams import OpenStreams


class _Stream:
    """A stream, and the reasons of the errors that ended it."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def end(self, error: TidemillError) -> None:
        self.reasons.append(error.reason)


async def test_a_stream_ends_when_its_caller_is_not_admitted_any_more(world: World) -> None:
    """It ends with the refusal of a new call; the streams of other callers stay open."""
    streams = OpenStreams(world.gatekeeper)
    gone, kept = await world.new_key(Scope.PREDICT), await world.new_key(Scope.PREDICT)
    revoked, expired, staying, probe, over = (_Stream() for _ in range(5))
    streams.add(revoked, PREDICT, bearer(gone))
    streams.add(expired, PREDICT, bearer(world.issuer.token()))
    streams.add(staying, PREDICT, bearer(kept))
    streams.add(probe, HEALTH, bearer("tm_wrong"))
    streams.add(over, PREDICT, bearer(gone))
    streams.discard(over)
    streams.check()
    everything = (revoked, expired, staying, probe, over)
    assert [stream.reasons for stream in everything] == [[], [], [], [], []]
    world.revoke(gone)
    await world.api_keys.refresh()
    world.clock.ahead = 601
    streams.check()
    assert (revoked.reasons, expired.reasons) == (["INVALID_API_KEY"], ["TOKEN_EXPIRED"])
    assert [stream.reasons for stream in (staying, probe, over)] == [[], [], []]
