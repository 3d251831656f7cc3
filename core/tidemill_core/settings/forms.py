"""Settings whose text has a form, and the words that say which."""

import re
from typing import Annotated, TypeVar

from pydantic import AfterValidator, SecretStr

TextT = TypeVar("TextT", str, SecretStr)


def of_form(pattern: str, rule: str) -> AfterValidator:
    """Return a validator that refuses a text that a pattern does not match as a whole.

    Args:
        pattern: the regular expression.
        rule: what the error says, because a pattern does not say what to write.
    """

    def check(value: TextT) -> TextT:
        text = value if isinstance(value, str) else value.get_secret_value()
        if re.fullmatch(pattern, text) is None:
            raise ValueError(rule)
        return value

    return AfterValidator(check)


TASK_NAME = r"[a-z][a-z0-9_]{0,39}"

TaskName = Annotated[
    str,
    of_form(TASK_NAME, "must be a name of up to 40 of a-z, 0-9 and _, starting with a letter"),
]
_HTTP_URL = r"https?://[^/,\s][^,\s]*"
_HTTP_RULE = "must be a URL that begins with https:// or http://"
_IS_HTTP_URL = of_form(r"https?://[^/\s]\S*", _HTTP_RULE)
HttpUrl = Annotated[str, _IS_HTTP_URL]
SecretHttpUrl = Annotated[SecretStr, _IS_HTTP_URL]
OptionalHttpUrl = Annotated[str, of_form(r"(https?://[^/\s]\S*)?", _HTTP_RULE)]
HttpUrls = Annotated[
    str,
    of_form(rf"({_HTTP_URL}(,\s*{_HTTP_URL})*)?", f"{_HTTP_RULE}, or several with commas between"),
]
MailAddress = Annotated[
    str, of_form(r"[^\s@<>]+@[^\s@<>]+", "must be a mail address such as ana@example.com")
]
