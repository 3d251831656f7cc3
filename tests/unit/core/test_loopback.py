"""Which calls stay on this machine, and go through no proxy."""

import os

import pytest

from tests.plugins.fake_triton import FakeTriton
from tests.plugins.proxy import proxied
from tidemill_core.errors import TritonUnavailable
from tidemill_core.loopback import direct_options, is_loopback, keep_loopback_direct
from tidemill_core.triton.client import TritonClient
from tidemill_core.triton.control import TritonControl


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "::ffff:127.0.0.1", "localhost", "LocalHost."],
)
def test_addresses_of_this_machine_are_loopback(host: str) -> None:
    """An address counts however it is written, and so does the name localhost."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "localhost.example", "triton", ""])  # noqa: S104 -- not bound
def test_other_hosts_are_not_loopback(host: str) -> None:
    """A name that may resolve to another machine counts as another machine."""
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("address", "is_direct"),
    [
        ("127.0.0.1:8001", True),
        ("localhost:8001", True),
        ("dns:///localhost:8001", True),
        ("ipv6:[::1]:8001", True),
        ("[::1]:8001", True),
        ("triton:8001", False),
        ("10.0.0.7:8001", False),
        ("ipv6:[::1:8001", False),
    ],
)
def test_only_channels_to_this_machine_pass_proxies_by(address: str, is_direct: bool) -> None:
    """Another machine may be reached through the proxy alone."""
    assert bool(direct_options(address)) is is_direct


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_triton_on_this_machine_is_asked_directly(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The jobs' connection reaches it, whatever proxy the environment names."""
    with FakeTriton() as triton, proxied(monkeypatch) as proxy:
        port = triton.address.rpartition(":")[2]
        with TritonControl(f"{host}:{port}", "key") as control:
            control.wait_ready(10.0)
        assert proxy.connections == 0


@pytest.mark.anyio
async def test_the_front_asks_triton_on_this_machine_directly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The asynchronous connection passes the proxy by as well."""
    with FakeTriton() as triton, proxied(monkeypatch) as proxy:
        client = TritonClient(triton.address)
        assert await client.ready()
        await client.close()
        assert proxy.connections == 0


def test_a_triton_elsewhere_is_reached_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call to another host connects to the proxy."""
    with proxied(monkeypatch) as proxy, TritonControl("triton.invalid:8001", "key") as control:
        with pytest.raises(TritonUnavailable):
            control.wait_ready(0.0)
        assert proxy.connections > 0


def test_what_no_proxy_names_stays_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's names are added to the user's, in whichever case they were set."""
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("no_grpc_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", "lake.example")
    monkeypatch.setenv("no_grpc_proxy", "lake.example")
    keep_loopback_direct()
    for name in ("no_proxy", "no_grpc_proxy"):
        assert os.environ[name] == "lake.example,localhost,127.0.0.1,::1"
