"""Every error that Tidemill raises on purpose, as one tree.

TidemillError
├── InvalidArgument            the caller's input is wrong; nothing was done
│   ├── UnknownLabel
│   └── RequestIdReused
├── Unauthenticated            nobody knows who calls
├── PermissionDenied           the caller is known, and may not do this
├── NotFound                   the named resource does not exist
├── AlreadyRunning             a second stack, or a second run, of what may run once
├── FailedPrecondition         the system's state does not allow it
│   ├── IllegalTransition
│   ├── NoChampion
│   └── VersionNotLoaded
├── ResourceExhausted          too much at once; try again after `retry_after_seconds`
├── DeadlineExceeded           the caller's time was used up
├── Unavailable                a system that is needed is away; try again
│   ├── StorageUnavailable
│   └── TritonUnavailable
├── ModelVersionNotServed      Triton does not serve that version (now)
├── ModelLoadFailed            Triton refused to load a version
├── ModelOutputInvalid         a model answered what no model should
├── DataError                  a source or a dataset cannot be used
│   └── TooFewLabels
└── ConfigurationError         settings are wrong, or the machine cannot run it
    └── TaskGone

A module may add a leaf that only it raises. Each has a `reason`, the same word in logs, gRPC
ErrorInfo and documentation, and builds its message from what it is given.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache


@dataclass(frozen=True)
class FieldViolation:
    """One field of a request that breaks a rule.

    Attributes:
        field: path of the field, as in the proto: `text`, `texts[3]`.
        description: the rule, and how the value broke it.
    """

    field: str
    description: str


class TidemillError(Exception):
    """Root of all deliberate errors.

    Attributes:
        reason: for programs.
        detail: what the log may say beyond the message, and callers must not learn.
    """

    reason = "INTERNAL"
    detail = ""


class InvalidArgument(TidemillError):
    """A field of the request breaks a rule."""

    def __init__(self, reason: str, field: str, description: str) -> None:
        super().__init__(f"{field}: {description}")
        self.reason, self.violation = reason, FieldViolation(field, description)


class UnknownLabel(InvalidArgument):
    """A label is none of its task's."""

    def __init__(self, task: str, label: str, known: frozenset[str]) -> None:
        given = label[:100]
        # Errors travel as metadata, for which there is little room.
        close = " or ".join(repr(each[:100]) for each in _similar(given, known))
        meant = f"; did you mean {close}?" if close else "."
        super().__init__(
            "UNKNOWN_LABEL",
            "label",
            f"{given!r} is not one of the {len(known)} labels of {task!r}{meant}"
            " To add a label, add a row with it to a source, import texts that have it (`tidemill"
            f" label import`), or set labels.add in tidemill.toml, under [tasks.{task}.labels]",
        )


@lru_cache(1024)  # among a thousand labels it takes 5 ms, and a wrong label comes often
def _similar(label: str, known: frozenset[str]) -> list[str]:
    return get_close_matches(label, known, 2)


class RequestIdReused(InvalidArgument):
    """A request id that was used before, for something else."""

    def __init__(self, used_for: str, each: str) -> None:
        rule = f"was used for another {used_for}: give each {each} one of its own"
        super().__init__("REQUEST_ID_REUSED", "request_id", rule)


class Unauthenticated(TidemillError):
    """The call shows no credential, or one that is not (or no longer) good."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class PermissionDenied(TidemillError):
    """The caller is known, and may not do this."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class NotFound(TidemillError):
    """A resource that was asked for by name does not exist."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"there is no {kind} {name!r}")
        self.reason = kind.upper().replace(" ", "_") + "_NOT_FOUND"


class AlreadyRunning(TidemillError):
    """Something that may run only once runs already."""

    reason = "ALREADY_RUNNING"


class FailedPrecondition(TidemillError):
    """The system's present state does not allow the request."""

    reason = "FAILED_PRECONDITION"

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason or self.reason


class IllegalTransition(FailedPrecondition):
    """A model version cannot go from its state to the one asked for."""

    reason = "ILLEGAL_TRANSITION"

    def __init__(self, current: str, target: str) -> None:
        super().__init__(f"a version that is {current} cannot become {target}")


class NoChampion(FailedPrecondition):
    """The task has no champion yet, so there is nobody to answer."""

    reason = "NO_CHAMPION"

    def __init__(self, task: str) -> None:
        super().__init__(
            f"task {task!r} has no champion yet; `tidemill status` shows how far its first model is"
        )


class ResourceExhausted(TidemillError):
    """More was asked for than there is room for."""

    def __init__(self, reason: str, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


class DeadlineExceeded(TidemillError):
    """The time that the caller gave was used up before the answer."""

    reason = "DEADLINE_EXCEEDED"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer within {seconds:.3f} s")


class Unavailable(TidemillError):
    """A system that is needed cannot be reached just now."""

    reason = "UNAVAILABLE"


class StorageUnavailable(Unavailable):
    """The database cannot be reached, is locked or is full."""

    reason = "STORAGE_UNAVAILABLE"

    def __init__(self, detail: str) -> None:
        super().__init__("the database is away, locked or full")
        self.detail = detail


class TritonUnavailable(Unavailable):
    """Triton cannot be reached."""

    reason = "TRITON_UNAVAILABLE"

    def __init__(self, address: str, detail: str) -> None:
        super().__init__("Triton does not answer")
        self.detail = f"{address}: {detail}"


class ModelVersionNotServed(TidemillError):
    """Triton does not serve that version of the model, or not yet, or no longer."""

    reason = "MODEL_VERSION_NOT_SERVED"

    def __init__(self, model_name: str, version: int) -> None:
        super().__init__(f"version {version} of {model_name!r} is not served")
        self.model_name = model_name
        self.version = version


class VersionNotLoaded(FailedPrecondition):
    """A version cannot answer callers, because Triton has not loaded it."""

    reason = ModelVersionNotServed.reason

    def __init__(self, task: str, version: int, advice: str) -> None:
        super().__init__(f"Triton has not loaded version {version} of {task!r}: {advice}")


class ModelLoadFailed(TidemillError):
    """Triton refused to load a model; what it served before goes on."""

    reason = "MODEL_LOAD_FAILED"

    def __init__(self, model_name: str, detail: str) -> None:
        super().__init__(f"Triton could not load {model_name!r}: {detail}")


class ModelOutputInvalid(TidemillError):
    """A model's output cannot be read, has the wrong shape, or is no probabilities."""

    reason = "MODEL_OUTPUT_INVALID"

    def __init__(self, model_name: str, version: int, detail: str) -> None:
        super().__init__(f"version {version} of {model_name!r} answered {detail}")


class DataError(TidemillError):
    """A source or a dataset cannot be used; the message names the place."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class TooFewLabels(DataError):
    """A classifier needs at least two labels, and the examples have fewer."""

    def __init__(self, found: str) -> None:
        super().__init__("TOO_FEW_LABELS", f"a classifier needs at least two labels: {found}")


class ConfigurationError(TidemillError):
    """Settings are wrong, or this machine cannot run what they ask for."""

    reason = "CONFIGURATION"


class TaskGone(ConfigurationError):
    """The settings do not name a task that there is work for."""

    reason = "TASK_GONE"

    def __init__(self, task: str) -> None:
        super().__init__(f"tidemill.toml names no task {task!r}")
        self.task = task
