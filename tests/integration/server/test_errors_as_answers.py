"""Errors that are returned as answers, and what they keep in memory."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.server.asking import Asked, asked
from tests.integration.server.front import Workspace
from tests.plugins.fake_triton import FakeTriton
from tidemill_core.errors import TidemillError
from tidemill_server.inference.query import Query
from tidemill_server.services.pipeline import StreamWindows, pipelined

LONG = 2**16


class Text(str):
    """A text that can be watched."""

    __slots__ = ("__weakref__",)


@pytest.fixture
def _no_collection() -> Iterator[None]:
    """Collect no cycles, so that only what nothing refers to is freed."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Asked]:
    """Yield a handler over a healthy Triton."""
    with FakeTriton() as triton:
        async with asked(Workspace(tmp_path, {"support": 1}), triton.address) as world:
            yield world


def query(method: str) -> Query:
    """Return a query to `support`."""
    now = asyncio.get_running_loop().time()
    return Query(task="support", method=method, deadline=now + 10, arrival=now)


@pytest.mark.usefixtures("_no_collection")
async def test_an_items_error_does_not_keep_its_text(world: Asked) -> None:
    """The text is freed while the answer to its stream still waits for a reader."""
    text = Text("a" * LONG)
    seen = weakref.ref(text)
    answer = await world.handler.predict_item(query("StreamPredict"), text)
    del text
    assert isinstance(answer, TidemillError)
    assert seen() is None


@pytest.mark.usefixtures("_no_collection")
async def test_a_batchs_errors_do_not_keep_its_texts(world: Asked) -> None:
    """The texts are freed, though their errors are held."""
    texts = [Text("a" * LONG) for _ in range(3)]
    seen = [weakref.ref(text) for text in texts]
    answers = await world.handler.predict_batch(query("BatchPredict"), texts)
    del texts
    assert all(isinstance(answer, TidemillError) for answer in answers)
    assert [text() for text in seen] == [None] * 3


@pytest.mark.usefixtures("_no_collection")
async def test_an_error_that_ends_a_stream_does_not_keep_its_request() -> None:
    """The request is freed as soon as the error is handled."""
    seen: list[weakref.ref[Text]] = []

    async def requests() -> AsyncIterator[Text]:
        text = Text("a" * LONG)
        seen.append(weakref.ref(text))
        yield text

    async def answer(text: Text) -> Exception:
        try:
            raise ValueError(len(text))
        except ValueError as error:
            return error

    async def read() -> None:
        with pytest.raises(ValueError, match=str(LONG)):
            _ = [each async for each in pipelined(requests(), answer, StreamWindows())]

    await read()
    assert [text() for text in seen] == [None]
