"""`predict_many` of both clients, over real streams."""

import asyncio
import itertools
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator

import grpc
import pytest

from tests.integration.clients.calls import BOTH, Asyncio, Threads
from tests.integration.clients.scripted import ScriptedServer, status
from tidemill_client import (
    AsyncTidemillClient,
    DeadlineExceeded,
    InvalidRequest,
    Overloaded,
    Prediction,
    TidemillError,
    Unauthenticated,
    Unavailable,
)

Client = Threads | Asyncio
pytestmark = pytest.mark.parametrize("client", BOTH, ids=repr)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """Yield the test's own server."""
    with ScriptedServer() as running:
        yield running


def labels(results: list[Prediction | TidemillError]) -> list[str]:
    """Return labels, and the reasons of errors."""
    return [one.reason if isinstance(one, TidemillError) else one.label for one in results]


def texts(count: int) -> list[str]:
    """Return this many different texts."""
    return [f"text {number}" for number in range(count)]


def test_results_come_in_order_with_errors_in_their_place(
    client: Client, server: ScriptedServer
) -> None:
    """A bad text has an error in place of its label, and progress counts every result."""
    server.item_errors.append(status(grpc.StatusCode.INVALID_ARGUMENT))
    seen: list[int] = []
    results = client.many(server.address, texts(300), window=16, progress=seen.append)
    assert labels(results) == ["SCRIPTED", *texts(300)[1:]]
    assert isinstance(results[0], InvalidRequest)
    assert results[0].request_id == "0"
    assert seen == list(range(1, 301))


def test_the_iterable_is_never_read_further_ahead_than_the_window(
    client: Client, server: ScriptedServer
) -> None:
    """At most `window` texts of an endless source are read ahead of the results."""
    read, given, ahead = itertools.count(), itertools.count(), []

    def endless() -> Iterator[str]:
        for number in read:
            yield f"text {number}"

    def note(_: object) -> None:
        next(given)
        ahead.append(_value(read) - _value(given))

    results = client.many(server.address, endless(), window=8, limit=100, on_result=note)
    assert labels(results) == texts(100)
    assert max(ahead) <= 8


def _value(counter: "itertools.count[int]") -> int:
    """Return how often it was called."""
    return int(repr(counter)[6:-1])


def test_a_lost_stream_is_resumed_with_what_was_not_answered(
    client: Client, server: ScriptedServer
) -> None:
    """Two broken streams lose no text, read none twice, and keep the order."""
    server.answers_a_stream.extend([20, 30])
    source = iter(texts(200))
    assert labels(client.many(server.address, source, window=16)) == texts(200)
    assert server.calls == 3
    assert len(server.asked) - len(set(server.asked)) <= 2 * 16


def test_a_server_that_is_killed_and_started_again_is_found_again(
    client: Client, server: ScriptedServer
) -> None:
    """Every text is answered, though the connection was cut and the port was closed for a while."""
    count = 0

    def restart(_: object) -> None:
        nonlocal count
        count += 1
        if count == 50:
            server.stop()
            time.sleep(0.3)  # so long is the port closed
            server.start()

    results = client.many(server.address, texts(200), window=32, on_result=restart)
    assert labels(results) == texts(200)


def test_texts_that_meet_an_overload_are_asked_again_in_time(
    client: Client, server: ScriptedServer
) -> None:
    """The client waits as RetryInfo says; other texts go on, and the order is kept."""
    busy = status(grpc.StatusCode.RESOURCE_EXHAUSTED, 0.3)
    server.item_errors.extend([busy, busy, status(grpc.StatusCode.UNAVAILABLE)])
    start = time.monotonic()
    assert labels(client.many(server.address, texts(20), window=8)) == texts(20)
    assert time.monotonic() - start > 0.28
    assert len(server.asked) == 23


def test_a_text_that_is_refused_five_times_is_an_error(
    client: Client, server: ScriptedServer
) -> None:
    """The last refusal is in its place."""
    server.item_errors.extend([status(grpc.StatusCode.RESOURCE_EXHAUSTED, 0.01)] * 5)
    [result] = client.many(server.address, ["a"])
    assert isinstance(result, Overloaded)
    assert len(server.asked) == 5


def test_a_silent_server_is_given_up_after_the_timeout(
    client: Client, server: ScriptedServer
) -> None:
    """Without an answer within the timeout, DeadlineExceeded is raised soon after it."""
    server.answering.clear()
    start = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=r"within 0\.5 s"):
        client.many(server.address, texts(5), timeout=0.5)
    assert 0.45 < time.monotonic() - start < 5


def test_a_stream_that_is_refused_is_raised_at_once(client: Client, server: ScriptedServer) -> None:
    """A permanent refusal is raised, though asyncio may need a second stream to see it."""
    server.refusals.extend([(status(grpc.StatusCode.UNAUTHENTICATED), ())] * 10)
    with pytest.raises(Unauthenticated):
        client.many(server.address, texts(5))
    assert server.calls <= (1 if isinstance(client, Threads) else 3)


def test_nobody_there_is_unavailable_within_the_timeout(client: Client) -> None:
    """A server that is down for longer than the timeout is an error that says so."""
    with pytest.raises(Unavailable):
        client.many("127.0.0.1:1", texts(5), timeout=0.4)


def test_what_the_iterable_raises_comes_out(client: Client, server: ScriptedServer) -> None:
    """An error of the source reaches the caller unchanged."""

    def broken() -> Iterator[str]:
        yield "first"
        raise OSError("the file is gone")

    with pytest.raises(OSError, match="the file is gone"):
        client.many(server.address, broken())


def test_no_texts_make_no_call(client: Client, server: ScriptedServer) -> None:
    """An empty source has no results, and a window of zero is refused."""
    assert client.many(server.address, []) == []
    assert server.calls == 0
    with pytest.raises(ValueError, match="at least 1"):
        client.many(server.address, ["a"], window=0)


def test_results_come_while_a_slow_source_is_waited_for(
    client: Client, server: ScriptedServer
) -> None:
    """A live source gets its results as it goes, long before the window is full."""
    if isinstance(client, Asyncio):
        pytest.skip("a plain iterable holds the event loop up; see the next test")
    answered = threading.Event()

    def slow() -> Iterator[str]:
        for number in itertools.count():
            yield f"text {number}"
            if answered.wait(0.05):  # so slow is the source
                return

    results = client.many(server.address, slow(), on_result=lambda _: answered.set())
    assert len(results) < 256


async def test_an_asynchronous_source_is_waited_for_beside_the_answers(
    client: Client, server: ScriptedServer
) -> None:
    """A result comes before the source has its next text, however long that takes."""
    if isinstance(client, Threads):
        pytest.skip("asyncio only")
    answered = asyncio.Event()

    async def source() -> AsyncIterator[str]:
        yield "first"
        await answered.wait()
        yield "second"

    found = []
    async with AsyncTidemillClient(server.address) as connection:
        async for result in connection.predict_many(source(), task="t", timeout=1.5):
            assert isinstance(result, Prediction)
            found.append(result.label)
            if len(found) == 1:  # longer than the timeout, which counts waiting for answers
                asyncio.get_running_loop().call_later(2.0, answered.set)
    assert found == ["first", "second"]


async def test_a_stream_that_ends_while_nothing_is_asked_is_opened_again(
    client: Client, server: ScriptedServer
) -> None:
    """The end of an idle stream does not delay the next text."""
    if isinstance(client, Threads):
        pytest.skip("asyncio only")
    found = []
    async with AsyncTidemillClient(server.address) as connection, asyncio.timeout(60):
        async for result in connection.predict_many(texts(3), task="t", window=1):
            assert isinstance(result, Prediction)
            found.append(result.label)
            if len(found) == 1:
                await asyncio.to_thread(server.stop)
                await asyncio.to_thread(server.start)
                await asyncio.sleep(0.2)  # the client learns of the end; nothing shows that it has
    assert found == texts(3)


_INTERRUPTED = """
import asyncio, sys
from tidemill_client import AsyncTidemillClient, TidemillClient
address, kind = sys.argv[1:]

def texts():
    for number in range(9):
        yield f"text {number}"
    print("asked", flush=True)

async def wait():
    async with AsyncTidemillClient(address) as client:
        async for _ in client.predict_many(texts(), task="t", timeout=60): pass

if kind == "asyncio":
    asyncio.run(wait())
with TidemillClient(address) as client:
    list(client.predict_many(texts(), task="t", timeout=60))
"""


def test_an_interrupt_ends_it_at_once(client: Client, server: ScriptedServer) -> None:
    """Ctrl-C during a wait ends the program within seconds, with KeyboardInterrupt."""
    server.answering.clear()
    command = [sys.executable, "-c", _INTERRUPTED, server.address, repr(client)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == "asked\n"
            program.send_signal(signal.SIGINT)
            _, said = program.communicate(timeout=60)
        finally:
            program.kill()
    assert "KeyboardInterrupt" in said
    assert program.returncode in (1, -signal.SIGINT, 128 + signal.SIGINT)
