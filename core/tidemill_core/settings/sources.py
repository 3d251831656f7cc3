"""What `[[tasks.<task>.sources]]` can say; `kind` tells them apart, and is files where left out."""

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

_Path = Annotated[
    str,
    BeforeValidator(lambda value: value.as_posix() if isinstance(value, Path) else value),
    Field(min_length=1),
]
_DottedPath = Annotated[str, Field(pattern=r"^[^.]+(\.[^.]+)*$")]
_Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class _SourceSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FilesSource(_SourceSettings):
    """Files of user events: CSV, JSON Lines or Parquet."""

    kind: Literal["files"] = "files"
    path: _Path
    """A file, a folder, a glob, or any URL that fsspec reads: `s3://…`, `https://…`."""
    format: Literal["csv", "jsonl", "parquet"] | None = None
    """What the files are. Where it is not set, their suffix says so: .csv, .tsv, .jsonl, .ndjson
    or .parquet; CSV and JSON Lines may have .gz, .bz2, .xz or .zst behind it."""
    delimiter: str | None = Field(default=None, min_length=1, max_length=1, pattern=r'^[^"\r\n]$')
    """What separates a CSV file's columns; where it is not set, a tab in .tsv and a comma else."""
    text_column: str = Field(default="text", min_length=1)
    """The column that holds the text."""
    label_column: str = "label"
    """The column that holds the label; empty, if the rows have none."""
    annotator_column: str = ""
    """The column that says who gave the label; empty, if none does."""
    time_column: str = ""
    """The column that holds the row's time, in ISO 8601 or as a count since 1970; empty, if none
    does."""


class SqlSource(_SourceSettings):
    """A table of a database, or what a query finds in it. It is only read."""

    kind: Literal["sql"]
    url: SecretStr = SecretStr("")
    """SQLAlchemy URL of the database."""
    url_env: _Variable | None = None
    """The environment variable that holds the URL, so that no password stands in the file."""
    table: str = ""
    """The table, or view; its schema may stand before it: `sales.tickets`."""
    query: str = ""
    """A SELECT, instead of the table."""
    cursor_column: str = Field(min_length=1)
    """The column that only grows from row to row: an id, or the time of the last change. An index
    on it makes reading quick."""
    key_column: str = ""
    """The column that tells rows of one cursor apart; a row read again replaces the earlier one of
    its key. Empty, where no two rows have the same cursor."""
    overlap: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    """How far before the last cursor each read begins, for rows that are committed late: seconds
    where the cursor is a time, also one in ISO 8601 as text, or a count since 1970 that is the
    `time_column` too; units where it is another number. Needs `key_column`."""
    text_column: str = Field(default="text", min_length=1)
    """The column that holds the text."""
    label_column: str = "label"
    """The column that holds the label; empty, if the rows have none."""
    annotator_column: str = ""
    """The column that says who gave the label; empty, if none does."""
    time_column: str = ""
    """The column that holds the row's time; empty, if none does."""

    @model_validator(mode="after")
    def _is_whole(self) -> "SqlSource":
        if bool(self.url.get_secret_value()) == (self.url_env is not None):
            raise ValueError("either url or url_env says where the database is")
        if bool(self.table) == bool(self.query):
            raise ValueError("either table or query says what to read")
        if self.overlap and not self.key_column:
            raise ValueError("overlap reads rows again, and needs key_column to know them")
        return self

    @property
    def effective_url(self) -> str:
        """The database's URL, password included.

        Raises:
            ConfigurationError: the variable that should hold it is not set.
        """
        return _secret(self.url_env) if self.url_env else self.url.get_secret_value()


class HttpSource(_SourceSettings):
    """A third party's API that answers JSON over HTTP."""

    kind: Literal["http"]
    url: str = Field(pattern=r"^https?://[^/]+")
    """The first page; fixed parameters may stand in it."""
    items: _DottedPath | None = None
    """Where the list of items is in an answer: `data.tickets`; not set, where the answer is it."""
    pagination: Literal["none", "page", "cursor", "link"] = "none"
    """How the next page is found: not at all, by a number until there is no other page, by a cursor
    or URL in the answer, or by a Link header with rel="next"."""
    page_parameter: str = "page"
    """The parameter that takes the page's number."""
    first_page: int = Field(default=1, ge=0)
    """The first page's number."""
    cursor_parameter: str = "cursor"
    """The parameter that takes the cursor."""
    cursor_field: _DottedPath = "next_cursor"
    """Where the next page's cursor, or its URL, is in an answer; null, false, 0, empty or missing
    on the last page."""
    max_pages: int = Field(default=10_000, ge=1)
    """More pages than that in one read are taken for an endless list."""
    key_field: _DottedPath = "id"
    """What tells items apart: an item read again replaces the earlier one of its key."""
    text_field: _DottedPath = "text"
    """Where the text is in an item."""
    label_field: _DottedPath | None = "label"
    """Where the label is in an item; empty, if items have none."""
    annotator_field: _DottedPath | None = None
    """Where it says who gave the label."""
    time_field: _DottedPath | None = None
    """Where the item's time is, in ISO 8601 or as a count since 1970."""
    since_parameter: str = ""
    """The parameter that asks for what is new; empty reads everything each time."""
    since_field: _DottedPath | None = None
    """Whose highest value so far goes into `since_parameter`; `time_field`, where it is not set. A
    time in the future does not count."""
    overlap: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    """How far before that highest value each read asks, for items that appear late: seconds where
    it is a time, units where it is another number. Needs `since_parameter`."""
    auth: Literal["none", "bearer", "header"] = "none"
    """How the token is shown: not at all, as `Authorization: Bearer`, or in a header of its own."""
    auth_header: str = "X-API-Key"
    """The header that takes the token with `auth = "header"`."""
    token_env: _Variable | None = None
    """The environment variable that holds the token."""
    requests_per_second: float = Field(default=5.0, gt=0.0)
    """Requests are no closer together than this allows."""
    timeout_seconds: float = Field(default=30.0, gt=0.0)
    """How long a connection, and each part of an answer, may take; a whole answer has ten
    minutes."""

    @model_validator(mode="before")
    @classmethod
    def _without_label(cls, values: Any) -> Any:
        """TOML has no null: an empty label_field stands for none."""
        if isinstance(values, dict) and values.get("label_field") == "":
            return {**values, "label_field": None}
        return values

    @model_validator(mode="after")
    def _is_whole(self) -> "HttpSource":
        if (self.auth != "none") != (self.token_env is not None):
            raise ValueError("auth and token_env belong together")
        if self.since_parameter and not (self.since_field or self.time_field):
            raise ValueError("since_parameter needs since_field or time_field")
        if self.overlap and not self.since_parameter:
            raise ValueError("overlap needs since_parameter; without it all is read each time")
        return self

    @property
    def token(self) -> str:
        """What proves who asks; empty where nothing does.

        Raises:
            ConfigurationError: the variable that should hold it is not set.
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
