"""The environment of a stack that stands in for a workspace's own."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tidemill_core.settings.problems import PREFIX


@contextmanager
def only_these_settings(values: Mapping[str, Any]) -> Iterator[None]:
    """Let this process, and those that it starts, see no settings in variables but these.

    Args:
        values: values that JSON has, by the names of settings or of sections.
    """
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    for name, value in values.items():
        written = value if isinstance(value, str) else json.dumps(value)
        os.environ[f"{PREFIX}{name.upper()}"] = written
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
