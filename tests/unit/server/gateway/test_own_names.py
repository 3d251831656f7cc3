"""Which names a server answers to, and which pages may call it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill_core.errors import PermissionDenied
from tidemill_server.gateway.own_names import OwnNames

LOCAL = OwnNames("127.0.0.1", ("Mill.example",))
EVERYWHERE = OwnNames("0.0.0.0", ("mill.example",))  # noqa: S104 -- not bound


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:8080", "LOCALHOST.:8080", "127.0.0.1:8080", "127.9.9.9"),
        *("[::1]", "[::1]:8080", "mill.example", "MILL.example.:443"),
    ],
)
def test_its_own_names_are_allowed(host: str) -> None:
    """Loopback, the address that it listens on, and the names of the settings, with any port."""
    LOCAL.check(host, None)
    LOCAL.check(host, f"http://{host}")
    EVERYWHERE.check(host, f"https://{host}")


@pytest.mark.parametrize(
    "host",
    [
        *("", ":", ":80", "evil.example", "mill.example.evil.example", "localhost.evil.example"),
        *(
            "127.0.0.1.evil.example",
            "evil.example:8080",
            "localhost@evil.example",
            "evil@localhost",
        ),
        *("localhost/evil.example", "localhost?", "localhost#", "http://localhost", "localhost:x"),
        *("localhost:99999", "[localhost]", "[::1", "::1", "0.0.0.0.", "localhost evil.example"),
        *("2130706433", "0x7f.1", "127.1", "xn--localhost", "localhost,evil.example", "\x00"),
    ],
)
def test_other_names_are_refused(host: str) -> None:
    """A page whose DNS name resolves to this machine sends its own name."""
    with pytest.raises(PermissionDenied) as refused:
        LOCAL.check(host, None)
    assert refused.value.reason == "HOST_NOT_ALLOWED"


def test_a_server_on_every_address_answers_to_addresses() -> None:
    """An address cannot be a page's DNS name. Unlisted names are refused there, too."""
    for host in ("10.0.0.7", "10.0.0.7:8080", "[2001:db8::7]:8080"):
        EVERYWHERE.check(host, None)
        OwnNames("", ()).check(host, None)
        with pytest.raises(PermissionDenied):
            LOCAL.check(host, None)
    OwnNames("10.0.0.7", ()).check("10.0.0.7:8080", None)
    for other in ("evil.example", "10.0.0", ""):
        with pytest.raises(PermissionDenied):
            EVERYWHERE.check(other, None)


@pytest.mark.parametrize(
    "origin",
    [
        *("http://evil.example", "null", "", "http://localhost", "http://localhost:3000"),
        *(
            "file://",
            "http://localhost:8080.evil.example",
            "localhost:8080",
            "http://127.0.0.1:8080",
        ),
    ],
)
def test_pages_of_other_sites_are_refused(origin: str) -> None:
    """Also a page of another server on this machine; its own pages may call."""
    LOCAL.check("localhost:8080", "http://localhost:8080")
    with pytest.raises(PermissionDenied) as refused:
        LOCAL.check("localhost:8080", origin)
    assert refused.value.reason == "ORIGIN_NOT_ALLOWED"


@given(st.text(), st.none() | st.text())
def test_any_header_is_refused_in_an_orderly_way(host: str, origin: str | None) -> None:
    """Nothing but the names above is allowed, and nothing raises another error."""
    try:
        OwnNames("10.0.0.7", ()).check(host, origin)
    except PermissionDenied:
        return
    assert "localhost" in host.lower() or "1" in host
