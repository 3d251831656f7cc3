"""The current names of labels."""

import pytest

from tidemill_core.domain.label_names import check_renames, current


def test_a_label_has_its_new_name() -> None:
    """A label that was not renamed keeps its name."""
    renames = {"card_arival": "card_arrival", "lost_card": "lost_or_stolen_card"}
    check_renames(renames)
    assert current("card_arival", renames) == "card_arrival"
    assert current("card_arrival", renames) == "card_arrival"


@pytest.mark.parametrize(
    ("renames", "message"),
    [
        ({"a": "a"}, "'a' is renamed to itself"),
        ({"a": "b", "b": "a"}, "'a' and 'b' are renamed in a circle"),
        ({"x": "a", "a": "b", "b": "c", "c": "a"}, "'x' and 'a' are renamed in a circle"),
        (
            {"a": "b", "b": "c"},
            "'a' is renamed to 'b', which is renamed too: rename it to 'c'",
        ),
        (
            {"a": "b", "b": "c", "c": "d"},
            "'a' is renamed to 'b', which is renamed too: rename it to 'd'",
        ),
    ],
    ids=str,
)
def test_a_new_name_stays(renames: dict[str, str], message: str) -> None:
    """Chains and circles are refused; the error names the labels and the name to use."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 -- the message is compared below
        check_renames(renames)
    assert str(caught.value) == message
