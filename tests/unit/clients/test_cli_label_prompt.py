"""The prompt for a label, with a terminal's keys and without a terminal."""

import string
from collections.abc import Iterator

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from tidemill_cli.label_prompt import KEYS, ask_for, matching

FEW = ("card", "fee", "loan")
MANY = tuple(f"{letter}_{word}" for letter in string.ascii_lowercase for word in FEW)


@pytest.fixture
def keys() -> Iterator[PipeInput]:
    """Yield the input for key presses."""
    with create_pipe_input() as pipe, create_app_session(pipe, DummyOutput()):
        yield pipe


@pytest.mark.parametrize(
    ("pressed", "label"), [("1", "card"), ("3", "loan"), ("9xA\r\x1b[B2", "fee"), (" ", None)]
)
def test_one_key_is_one_label(keys: PipeInput, pressed: str, label: str | None) -> None:
    """A key without a label is ignored; space skips."""
    ask, told = ask_for(FEW)
    assert told.startswith("[1] card  [2] fee  [3] loan  [space] skip")
    keys.send_text(pressed)
    assert ask() == label


def test_as_many_labels_as_keys_have_one_each(keys: PipeInput) -> None:
    """The last of 35 labels has the key z."""
    ask, _ = ask_for(MANY[: len(KEYS)])
    keys.send_text("z")
    assert ask() == MANY[len(KEYS) - 1]


@pytest.mark.parametrize(
    ("typed", "label"),
    [
        ("q_fee\r", "q_fee"),
        ("Q_F\r", "q_fee"),
        ("q_\x15b_lo\r", "b_loan"),
        ("fee\r" + "\x15" + "c_fee\r", "c_fee"),
        ("\r", None),
        ("nonsense\r\x15\r", None),
    ],
)
def test_many_labels_are_searched(keys: PipeInput, typed: str, label: str | None) -> None:
    """A part that only one label has is enough; any other part is asked for again."""
    ask, _ = ask_for(MANY)
    keys.send_text(typed)
    assert ask() == label


def test_without_known_labels_any_is_taken(keys: PipeInput) -> None:
    """Before the first dataset version, any label is accepted."""
    ask, _ = ask_for(())
    keys.send_text(" new label \r\r")
    assert ask() == "new label"
    assert ask() is None


@pytest.mark.parametrize("labels", [(), FEW, MANY], ids=len)
@pytest.mark.parametrize(
    ("key", "raised"), [("\x03", KeyboardInterrupt), ("\x04", EOFError)], ids=["ctrl-c", "ctrl-d"]
)
def test_ctrl_d_and_ctrl_c_end(
    keys: PipeInput, labels: tuple[str, ...], key: str, raised: type[BaseException]
) -> None:
    """Both keys end each kind of prompt."""
    ask, _ = ask_for(labels)
    keys.send_text(key)
    with pytest.raises(raised):
        ask()


def test_a_label_is_itself_before_it_is_a_part_of_others() -> None:
    """A whole label means itself only; a shared part means all labels that contain it."""
    labels = ("card", "lost card", "Karte")
    assert matching("card", labels) == ["card"]
    assert matching("CA", labels) == ["card", "lost card"]
    assert matching("x", labels) == []
