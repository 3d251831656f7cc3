"""Calls to this machine without a proxy, and calls to others through it."""

import pytest

from tests.plugins.fake_triton import FakeTriton
from tests.plugins.proxy import proxied
from tidemill_core.errors import TritonUnavailable
from tidemill_core.triton.client import TritonClient
from tidemill_core.triton.control import TritonControl


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_triton_on_this_machine_is_asked_directly(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The jobs' connection reaches Triton, whatever proxy the environment names."""
    with FakeTriton() as triton, proxied(monkeypatch) as proxy:
        port = triton.address.rpartition(":")[2]
        with TritonControl(f"{host}:{port}", "key") as control:
            control.wait_ready(10.0)
        assert proxy.connections == 0


async def test_the_front_asks_triton_on_this_machine_directly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The asynchronous connection uses no proxy either."""
    with FakeTriton() as triton, proxied(monkeypatch) as proxy:
        client = TritonClient(triton.address)
        assert await client.model_ready("any", 1)
        await client.close()
        assert proxy.connections == 0


def test_a_triton_elsewhere_is_reached_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call to another host connects to the proxy."""
    with proxied(monkeypatch) as proxy, TritonControl("triton.invalid:8001", "key") as control:
        with pytest.raises(TritonUnavailable):
            control.wait_ready(0.0)
        assert proxy.connections > 0
