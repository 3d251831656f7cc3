"""The rules for texts that a model is asked about."""

from tidemill_core.text import HAS_CONTROLS, IS_BLANK, IS_TOO_LONG, control_character, is_blank
from tidemill_core.text_repair import longest_raw_length, repair

BLANK_RULE = "is empty or has no visible characters"


def text_problem(text: str, max_length: int) -> tuple[str, str] | None:
    """Return the reason and the rule that a text of a task breaks after its repair; or None.

    The repair is that of a build, so serving refuses the texts that a build quarantines.
    """
    # In printable ASCII within the limit, a repair changes nothing that a rule checks. Beyond it,
    # printable text may be a control character that was decoded with a wrong encoding.
    if not (text.isascii() and text.isprintable()) or len(text) > max_length:
        if len(text) > longest_raw_length(max_length):
            return IS_TOO_LONG, _too_long(text, max_length)
        text = repair(text)
    if (rule := controls_problem(text)) is not None:
        return HAS_CONTROLS, rule
    if is_blank(text):
        return IS_BLANK, BLANK_RULE
    return (IS_TOO_LONG, _too_long(text, max_length)) if len(text) > max_length else None


def controls_problem(text: str) -> str | None:
    """Return the rule that a text with control characters breaks; None without them."""
    found = control_character(text)
    return None if found is None else f"has the control character U+{ord(found):04X}"


def _too_long(text: str, max_length: int) -> str:
    return f"has {len(text)} characters; the task's limit is {max_length}"
