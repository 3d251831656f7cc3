"""The kinds of `[[tasks.<task>.sources]]`; `kind` names one, by default files."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    SecretStr,
    Tag,
    model_validator,
)

from tidemill_core.errors import ConfigurationError
from tidemill_core.settings.forms import HttpUrl, of_form

_Path = Annotated[
    str,
    BeforeValidator(lambda value: value.as_posix() if isinstance(value, Path) else value),
    Field(min_length=1),
]
_DottedPath = Annotated[
    str, of_form(r"[^.]+(\.[^.]+)*", "must be names with dots between them, such as data.tickets")
]
_Variable = Annotated[
    str,
    of_form(
        r"[A-Za-z_][A-Za-z0-9_]*",
        "must be the name of an environment variable: letters, digits and _",
    ),
]
_Delimiter = Annotated[
    str,
    Field(min_length=1, max_length=1),
    of_form(r'[^"\r\n]', "must not be a quote or the end of a line"),
]


class _SourceSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FilesSource(_SourceSettings):
    """Files of user events: CSV, JSON Lines or Parquet."""

    kind: Literal["files"] = "files"
    path: _Path
    """A file, a folder, a glob, or a URL that fsspec reads: `s3://…`, `https://…`."""
    format: Literal["csv", "jsonl", "parquet"] | None = None
    """The format of the files; unset: by suffix, which is .csv, .tsv, .jsonl, .ndjson or .parquet.
    .gz, .bz2, .xz or .zst may follow for CSV and JSON Lines."""
    delimiter: _Delimiter | None = None
    """The delimiter of a CSV file's columns; unset: a tab in .tsv, otherwise a comma."""
    text_column: str = Field(default="text", min_length=1)
    """The column with the text."""
    label_column: str = "label"
    """The column with the label; empty if rows have no label."""
    annotator_column: str = ""
    """The column with the annotator of the label; empty if there is none."""
    time_column: str = ""
    """The column with the row's time, in ISO 8601 or as a count since 1970; empty if there is
    none."""


class SqlSource(_SourceSettings):
    """A table or a query of a database. Tidemill only reads it."""

    kind: Literal["sql"]
    url: SecretStr = SecretStr("")
    """SQLAlchemy URL of the database."""
    url_env: _Variable | None = None
    """The environment variable with the URL; it keeps the password out of the file."""
    table: str = ""
    """The table or view, with or without its schema: `sales.tickets`."""
    query: str = ""
    """A SELECT, instead of the table."""
    cursor_column: str = Field(min_length=1)
    """The column whose value increases with each row: an id, or the time of the last change. An
    index on it makes reads fast."""
    key_column: str = ""
    """The column that identifies a row: a row that is read again replaces the earlier one with its
    key. Empty if no two rows have the same cursor."""
    overlap: float = Field(default=0.0, ge=0.0)
    """How far before the last cursor each read starts, for rows that are committed late. In seconds
    if the cursor is a time: a database time, ISO 8601 text, or a count since 1970 that is also
    `time_column`. In the cursor's units if it is another number. Needs `key_column`."""
    text_column: str = Field(default="text", min_length=1)
    """The column with the text."""
    label_column: str = "label"
    """The column with the label; empty if rows have no label."""
    annotator_column: str = ""
    """The column with the annotator of the label; empty if there is none."""
    time_column: str = ""
    """The column with the row's time; empty if there is none."""

    @model_validator(mode="after")
    def _is_whole(self) -> "SqlSource":
        if bool(self.url.get_secret_value()) == (self.url_env is not None):
            raise ValueError("set either url or url_env")
        if bool(self.table) == bool(self.query):
            raise ValueError("set either table or query")
        if self.overlap and not self.key_column:
            raise ValueError("overlap reads rows again: it needs key_column to identify them")
        return self

    @property
    def effective_url(self) -> str:
        """The database's URL, password included.

        Raises:
            ConfigurationError: the variable named by the setting is not set.
        """
        return _secret(self.url_env) if self.url_env else self.url.get_secret_value()


class HttpSource(_SourceSettings):
    """A third party's API that answers JSON over HTTP."""

    kind: Literal["http"]
    url: HttpUrl
    """The URL of the first page; it may have fixed parameters."""
    items: _DottedPath | None = None
    """The path of the list of items in a response: `data.tickets`; unset: the response itself."""
    pagination: Literal["none", "page", "cursor", "link"] = "none"
    """How to find the next page: not at all, by number until the pages end, by a cursor or URL in
    the response, or by a Link header with rel="next"."""
    page_parameter: str = "page"
    """The parameter for the page's number."""
    first_page: int = Field(default=1, ge=0)
    """The number of the first page."""
    cursor_parameter: str = "cursor"
    """The parameter for the cursor."""
    cursor_field: _DottedPath = "next_cursor"
    """The path of the next page's cursor or URL in a response; null, false, 0, empty or missing on
    the last page."""
    max_pages: int = Field(default=10_000, ge=1)
    """Most pages in one read; a longer list counts as endless, which is an error."""
    key_field: _DottedPath = "id"
    """The field that identifies an item: one read again replaces the earlier one with its key."""
    text_field: _DottedPath = "text"
    """The path of the text in an item."""
    label_field: _DottedPath | None = "label"
    """The path of the label in an item; empty if items have no label."""
    annotator_field: _DottedPath | None = None
    """The path of the label's annotator in an item."""
    time_field: _DottedPath | None = None
    """The path of the item's time, in ISO 8601 or as a count since 1970."""
    since_parameter: str = ""
    """The parameter that asks for new items only; empty reads all items each time."""
    since_field: _DottedPath | None = None
    """The field whose highest value so far is sent in `since_parameter`; unset: `time_field`. Times
    in the future are ignored."""
    overlap: float = Field(default=0.0, ge=0.0)
    """How far before that highest value each read starts, for items that appear late. In seconds if
    it is a time, otherwise in its own units. Needs `since_parameter`."""
    auth: Literal["none", "bearer", "header"] = "none"
    """How the token is sent: not at all, as `Authorization: Bearer`, or in `auth_header`."""
    auth_header: str = "X-API-Key"
    """The header for the token with `auth = "header"`."""
    token_env: _Variable | None = None
    """The environment variable with the token."""
    requests_per_second: float = Field(default=5.0, gt=0.0)
    """Highest rate of requests."""
    timeout_seconds: float = Field(default=30.0, gt=0.0)
    """Longest wait for a connection and for each part of a response; a whole response may take ten
    minutes."""

    @model_validator(mode="before")
    @classmethod
    def _without_label(cls, values: Any) -> Any:
        """Return the values with None for an empty label_field, because TOML has no null."""
        if isinstance(values, dict) and values.get("label_field") == "":
            return {**values, "label_field": None}
        return values

    @model_validator(mode="after")
    def _is_whole(self) -> "HttpSource":
        if (self.auth != "none") != (self.token_env is not None):
            raise ValueError("auth and token_env need each other: set both or neither")
        if self.since_parameter and not (self.since_field or self.time_field):
            raise ValueError("since_parameter needs since_field or time_field")
        if self.overlap and not self.since_parameter:
            raise ValueError("overlap needs since_parameter: without it each read gets all items")
        return self

    @property
    def token(self) -> str:
        """The token; empty if the source needs none.

        Raises:
            ConfigurationError: the variable named by the setting is not set.
        """
        return _secret(self.token_env) if self.token_env else ""


def _secret(variable: str) -> str:
    value = os.environ.get(variable, "")
    if not value:
        raise ConfigurationError(
            f"the environment variable {variable} is not set: a source needs it"
        )
    return value


def _kind(value: Any) -> Any:
    if isinstance(value, dict):
        return value.get("kind", "files")
    return getattr(value, "kind", None)


SourceSettings = Annotated[
    Annotated[FilesSource, Tag("files")]
    | Annotated[SqlSource, Tag("sql")]
    | Annotated[HttpSource, Tag("http")],
    Discriminator(_kind),
]
"""One declared source."""
