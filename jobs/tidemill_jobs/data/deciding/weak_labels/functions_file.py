"""A workspace's file of labeling functions."""

import hashlib
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from tidemill_core.errors import DataError
from tidemill_jobs.data.deciding.weak_labels.time_limit import TookTooLong, time_limit
from tidemill_jobs.labeling_functions import LabelingFunction, collected

FILE_SECONDS = 600.0
"""The time that the file itself may take: it may load a model."""
_MODULE = "labeling_functions"


@dataclass(frozen=True)
class FunctionsFile:
    """A file of labeling functions.

    Attributes:
        path: the file.
        sha256: SHA-256 of its content, in hex.
        functions: at least one function, in the order of definition, with unique names.
    """

    path: Path
    sha256: str
    functions: tuple[LabelingFunction, ...]

    def place(self, line: int) -> str:
        """Return a line's place for errors."""
        return f"{self.path}:{line}"

    def place_of(self, error: BaseException, line: int = 1) -> str:
        """Return the place of the file's last line in an error's traceback, or else of `line`."""
        frames = traceback.walk_tb(error.__traceback__)
        name = str(self.path)
        own = [number for frame, number in frames if frame.f_code.co_filename == name]
        return self.place(own[-1] if own else line)


def load_functions_file(path: Path, seconds: float = FILE_SECONDS) -> FunctionsFile:
    """Run a file of labeling functions. It is the workspace's own code, and may do anything.

    Imported functions do not count, because the file's hash would not show their changes.

    Raises:
        DataError: LABELING_FILE_UNUSABLE: it cannot be read or run, takes over `seconds`, or has no
            labeling function or two with the same name.
    """
    try:
        source = path.read_bytes()
    except OSError as error:
        cure = "fix the task's setting labeling_functions, or put the file there"
        raise _unusable(str(path), f"cannot be read: {error.strerror}", cure) from error
    file = FunctionsFile(path, hashlib.sha256(source).hexdigest(), ())
    module = ModuleType(_MODULE)
    module.__file__ = str(path)
    try:
        with time_limit(seconds):
            exec(compile(source, str(path), "exec"), module.__dict__)  # noqa: S102 -- the user's own
    except SyntaxError as error:
        place = f"{error.filename or path}:{error.lineno or 1}"
        raise _unusable(place, f"is not Python: {error.msg}", "fix it") from error
    except (Exception, SystemExit, TookTooLong) as error:
        detail = f"fails: {type(error).__name__}: {error}"
        raise _unusable(file.place_of(error), detail, "fix it") from error
    functions = collected(module.__dict__)
    _check_names(file, functions)
    return FunctionsFile(path, file.sha256, functions)


def _check_names(file: FunctionsFile, functions: tuple[LabelingFunction, ...]) -> None:
    if not functions:
        cure = "put @labeling_function, from tidemill_jobs.labeling_functions, above each"
        raise _unusable(str(file.path), "has no labeling function", cure)
    ((name, count),) = Counter(function.name for function in functions).most_common(1)
    if count > 1:
        lines = [function.line for function in functions if function.name == name]
        detail = f"is named {name!r}, like the labeling function in line {lines[0]}"
        raise _unusable(file.place(lines[1]), detail, "rename one")


def _unusable(place: str, detail: str, cure: str) -> DataError:
    return DataError("LABELING_FILE_UNUSABLE", f"{place} {detail}; {cure}")
