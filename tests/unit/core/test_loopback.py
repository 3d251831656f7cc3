"""Calls that stay on this machine and need no proxy."""

import os

import pytest

from tidemill_core.loopback import direct_options, is_loopback, keep_loopback_direct


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "::ffff:127.0.0.1", "localhost", "LocalHost."],
)
def test_addresses_of_this_machine_are_loopback(host: str) -> None:
    """Every spelling of a loopback address counts, and so does the name localhost."""
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
    """Calls to another machine keep using the proxy."""
    assert bool(direct_options(address)) is is_direct


def test_what_no_proxy_names_stays_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's names are added to the user's, in upper or lower case."""
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("no_grpc_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", "lake.example")
    monkeypatch.setenv("no_grpc_proxy", "lake.example")
    for _ in range(2):  # a process starts others, which do the same
        keep_loopback_direct()
    for name in ("no_proxy", "no_grpc_proxy"):
        assert os.environ[name] == "lake.example,localhost,127.0.0.1,::1"
