"""The addresses of Tritons."""

from pathlib import Path

import pytest

from tidemill_core.triton.addresses import may_change, named, resolved, shown, with_stand_in


def test_a_target_is_a_list_or_a_name() -> None:
    """A list names each Triton once; a name stands for its addresses."""
    assert named("a:8001, b.example:8001,a:8001") == ["a:8001", "b.example:8001"]
    assert named("[::1]:8001") == ["[::1]:8001"]
    assert named("dns:///tritons:8001") == ["tritons:8001"]
    assert resolved("127.0.0.1:1,127.0.0.1:2") == ["127.0.0.1:1", "127.0.0.1:2"]
    assert "127.0.0.1:8001" in resolved("dns:///localhost:8001")


def test_a_stand_in_counts_while_its_file_is_there(tmp_path: Path) -> None:
    """The file's address comes after the Triton's own, in a folder of any name, too."""
    file = tmp_path / "a|b, c"
    target = with_stand_in("127.0.0.1:8001", file)
    assert may_change(target)
    assert resolved(target) == named(target) == ["127.0.0.1:8001"]
    file.write_text("127.0.0.2:8001")
    assert resolved(target) == ["127.0.0.1:8001", "127.0.0.2:8001"]
    assert shown(target) == "127.0.0.1:8001"


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
