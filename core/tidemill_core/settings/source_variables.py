"""The environment variables that sources name, for URLs and tokens."""

import os
from collections.abc import Iterator, Mapping

from tidemill_core.settings.sections import TaskSettings


def named_variables(tasks: Mapping[str, TaskSettings]) -> Iterator[tuple[str, str]]:
    """Yield each source's setting that names a variable, and the variable."""
    for task, of_task in tasks.items():
        for place, source in enumerate(of_task.sources):
            for name in ("url_env", "token_env"):
                if variable := getattr(source, name, None):
                    yield f"tasks.{task}.sources.{place}.{name}", variable


def unset_variables(tasks: Mapping[str, TaskSettings]) -> list[tuple[str, str]]:
    """Return each source's setting that names a variable without a value, and the variable."""
    return [(name, each) for name, each in named_variables(tasks) if not os.environ.get(each)]
