"""The rules of settings and options, in Tidemill's words instead of the libraries'."""

import re

_WORDS = [
    (re.compile(pattern), words)
    for pattern, words in (
        (r".*, (.*) does not match the formats .*", r"\1 is not a day such as 2024-01-31"),
        (r"Value error, (?P<rest>.*)", r"\g<rest>"),
        (r"Field required", "missing"),
        (r"Input should be a valid integer.*", "must be a whole number"),
        (r"Input should be a valid number.*", "must be a number"),
        (r"Input should be a finite number", "must be a finite number"),
        (r"Input should be a valid boolean.*", "must be true or false"),
        (r"Input should be a valid string", "must be a string"),
        (r"Input should be a valid (?:list|tuple|set)", "must be a list"),
        (r"Input should be a valid dictionary.*", "must be a table"),
        (r"Unable to extract tag .*", "must be a table"),
        (r"Input is not a valid path.*", "must be a path"),
        (r"Input should be greater than or equal to (.*)", r"must be at least \1"),
        (r"Input should be less than or equal to (.*)", r"must be at most \1"),
        (r"Input should be greater than (.*)", r"must be more than \1"),
        (r"Input should be less than (.*)", r"must be less than \1"),
        (r"Input should be (.*)", r"must be \1"),
        (r"\w+ should have at least 1 (?:item|character)\b.*", "must not be empty"),
        (r"\w+ should have at most (\d+ characters?).*", r"must have at most \1"),
        (r"Input tag (.*) found using .* tags: (.*)", r"kind \1 must be one of \2"),
    )
]


def plain_rule(message: str) -> str:
    """Return a library's message about a wrong value as a rule; any other message unchanged."""
    for pattern, words in _WORDS:
        if match := pattern.fullmatch(message):
            return match.expand(words)
    return message
