"""The addresses of Tritons."""

import pytest

from tidemill_core.triton.addresses import named, resolved


def test_a_target_is_a_list_or_a_name() -> None:
    """A list names each Triton once; a name stands for its addresses."""
    assert named("a:8001, b.example:8001,a:8001") == ["a:8001", "b.example:8001"]
    assert named("[::1]:8001") == ["[::1]:8001"]
    assert named("dns:///tritons:8001") == ["tritons:8001"]
    assert resolved("127.0.0.1:1,127.0.0.1:2") == ["127.0.0.1:1", "127.0.0.1:2"]
    assert "127.0.0.1:8001" in resolved("dns:///localhost:8001")


@pytest.mark.parametrize(
    "target",
    [
        *("a", "a:", "a:0", "a:65536", "http://a:8001", "a:8001,", "ipv4:a:8001"),
        *("dns:///a:1,b:2", "a b:1"),
    ],
)
def test_another_form_is_an_error_that_shows_the_forms(target: str) -> None:
    """The error names the target and the accepted forms."""
    with pytest.raises(ValueError, match="separated by commas"):
        named(target)


@pytest.mark.parametrize("host", ["tritons.invalid", "a..b", "a" * 64])
def test_a_name_that_dns_does_not_know(host: str) -> None:
    """It is an OSError, also if no such name can exist."""
    with pytest.raises(OSError, match=r"."):
        resolved(f"dns:///{host}:8001")
