"""The section `[arize]`: predictions and feedback in Arize."""

from typing import Annotated

from pydantic import SecretStr

from tidemill_core.settings.forms import of_form
from tidemill_core.settings.section import Section

_Url = Annotated[
    str,
    of_form(
        r"https?://[^/\s](\S*[^/\s])?",
        "must be a URL that begins with https:// or http:// and ends without a slash",
    ),
]


class ArizeSettings(Section):
    """An Arize space."""

    api_key: SecretStr = SecretStr("")
    """The space's API key; empty: nothing is sent."""
    space_id: str = ""
    """The space's id."""
    url: _Url = "https://api.arize.com/v1"
    """Address of its API."""
    send_texts: bool = False
    """Whether stored texts are sent too. What is sent, `tidemill erase` cannot erase."""
    send_embeddings: bool = False
    """Whether the model's representation of stored texts is sent too: of at most 1,000 in 10,000,
    chosen at random. It says much about a text, and `tidemill erase` cannot erase it there."""
