"""The prompt for a label in the terminal: one key for few labels, a search for many."""

import string
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from prompt_toolkit import prompt
from prompt_toolkit.application import Application
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.layout import Layout, Window
from prompt_toolkit.layout.controls import FormattedTextControl
from prompt_toolkit.validation import ValidationError, Validator

from tidemill_core.shown import shown

KEYS = "123456789" + string.ascii_lowercase
"""The keys of the labels, in order; more labels than keys need a search."""

Ask = Callable[[], str | None]
"""A function that returns a label, or None to skip. Ctrl-C and Ctrl-D raise KeyboardInterrupt and
EOFError."""


def ask_for(labels: Sequence[str]) -> tuple[Ask, str]:
    """Return a function that asks for one of the labels, and a hint on how to answer.

    Without labels, any answer is accepted.
    """
    if not labels:
        return _ask_for_anything, "type a label; Enter skips, Ctrl-D ends"
    if len(labels) > len(KEYS):
        hint = "type a part of a label, Tab or the arrows choose; Enter alone skips, Ctrl-D ends"
        return partial(_ask_by_search, labels), hint
    keys = "  ".join(f"[{key}] {label}" for key, label in zip(KEYS, labels, strict=False))
    return partial(_ask_by_key, labels), f"{keys}  [space] skip  [Ctrl-D] end"


def matching(text: str, labels: Sequence[str]) -> list[str]:
    """Return the labels that a text can mean: itself, or those that contain it in any case."""
    if text in labels:
        return [text]
    return [label for label in labels if text.casefold() in label.casefold()]


def _ask_for_anything() -> str | None:
    return prompt("label: ").strip() or None


def _ask_by_search(labels: Sequence[str]) -> str | None:
    completer = WordCompleter(
        list(labels),
        ignore_case=True,
        sentence=True,
        match_middle=True,
        display_dict={label: shown(label) for label in labels},
    )
    text = prompt(
        "label: ",
        completer=completer,
        complete_while_typing=True,
        validator=_OneOf(labels),
        validate_while_typing=False,
    ).strip()
    return matching(text, labels)[0] if text else None


class _OneOf(Validator):
    """A validator that accepts an empty text, and a text that can mean only one label."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = labels

    def validate(self, document: Document) -> None:
        """Raise ValidationError for any other text."""
        text = document.text.strip()
        if text and (count := len(matching(text, self._labels))) != 1:
            message = f"{count} labels contain this" if count else "no label contains this"
            raise ValidationError(message=message, cursor_position=len(document.text))


def _ask_by_key(labels: Sequence[str]) -> str | None:
    answers = dict(zip(KEYS, labels, strict=False))
    bindings = KeyBindings()

    def end(event: Any, **how: Any) -> None:
        event.app.exit(**how)

    for key, label in answers.items():
        bindings.add(key)(partial(end, result=label))
    bindings.add("space")(partial(end, result=None))
    bindings.add("c-c")(partial(end, exception=KeyboardInterrupt))
    bindings.add("c-d")(partial(end, exception=EOFError))
    window = Window(FormattedTextControl("key:"), height=1)
    application: Application[str | None] = Application(
        layout=Layout(window), key_bindings=bindings, erase_when_done=True
    )
    return application.run()
