"""Every error that Tidemill raises on purpose, as one tree.

TidemillError
├── InvalidArgument            the caller's input is wrong; nothing was done
│   └── RequestIdReused
├── Unauthenticated            the call has no valid credential
├── PermissionDenied           the caller is known but may not do this
├── NotFound                   the named resource does not exist
├── AlreadyRunning             a second stack, or a second run, of something that may run once
├── FailedPrecondition         the system's state does not allow it
│   ├── IllegalTransition
│   ├── NoChampion
│   ├── NoClasses
│   └── VersionNotLoaded
├── ResourceExhausted          too much at once; retry after `retry_after_seconds`
├── DeadlineExceeded           the caller's time ran out
├── Unavailable                a required system cannot be reached; retry
│   ├── StorageUnavailable
│   └── TritonUnavailable
├── ModelVersionNotServed      Triton does not serve the version now
├── ModelLoadFailed            Triton could not load a version
├── ModelOutputInvalid         a model returned invalid output
├── DataError                  a source or a dataset cannot be used
│   └── TooFewLabels
└── ConfigurationError         the settings are wrong, or this machine cannot run them
    └── TaskGone

A module may add a leaf that only it raises. Each error has a `reason`, the same word in logs, gRPC
ErrorInfo and documentation, and builds its message from its arguments.
"""


class TidemillError(Exception):
    """Root of all deliberate errors."""

    reason = "INTERNAL"
    detail = ""
    """More for the log, which callers must not see."""

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason or self.reason


class InvalidArgument(TidemillError):
    """A field of the request breaks a rule.

    Attributes:
        field: path of the field, as in the proto: `text`, `texts[3]`.
        description: the rule, and how the value broke it.
    """

    def __init__(self, reason: str, field: str, description: str) -> None:
        super().__init__(f"{field}: {description}", reason)
        self.field, self.description = field, description


class RequestIdReused(InvalidArgument):
    """A request id that another request used before."""

    def __init__(self, used_for: str, each: str) -> None:
        rule = f"was used for another {used_for}: give each {each} its own request id"
        super().__init__("REQUEST_ID_REUSED", "request_id", rule)


class Unauthenticated(TidemillError):
    """A call without a credential, or with one that is invalid, expired or revoked."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message, reason)


class PermissionDenied(TidemillError):
    """A call that its known caller may not make."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message, reason)


_LISTED_BY = {
    "alert": "tidemill alerts list",
    "API key": "tidemill keys list",
    "dataset version": "tidemill datasets list",
    "held verdict": "tidemill feedback held",
    "job run": "tidemill jobs runs",
    "model version": "tidemill models list",
    "report": "tidemill reports list",
    "silence": "tidemill alerts silences",
    "task": "tidemill status",
}


class NotFound(TidemillError):
    """A resource that was asked for by name does not exist."""

    def __init__(self, kind: str, name: str) -> None:
        reason = kind.upper().replace(" ", "_") + "_NOT_FOUND"
        listed = f"; `{_LISTED_BY[kind]}` shows what there is" if kind in _LISTED_BY else ""
        super().__init__(f"there is no {kind} {name!r}{listed}", reason)


class AlreadyRunning(TidemillError):
    """Something that may run only once is already running."""

    reason = "ALREADY_RUNNING"


class FailedPrecondition(TidemillError):
    """The system's current state does not allow the request."""

    reason = "FAILED_PRECONDITION"


class IllegalTransition(FailedPrecondition):
    """A model version cannot go from its state to the requested one."""

    reason = "ILLEGAL_TRANSITION"

    def __init__(self, current: str, target: str, rule: str = "") -> None:
        already = f"the version is {current} already"
        no_step = f"a version that is {current} cannot become {target}{rule and '; '}{rule}"
        super().__init__(already if current == target else no_step)


class NoChampion(FailedPrecondition):
    """The task has no champion yet, so no version can answer."""

    reason = "NO_CHAMPION"

    def __init__(self, task: str) -> None:
        super().__init__(f"task {task!r} has no champion yet; `tidemill status` shows why")


class NoClasses(FailedPrecondition):
    """A task whose models have no classes."""

    reason = "NO_CLASSES"

    def __init__(self, task: str) -> None:
        super().__init__(f"task {task!r} has preference pairs, and its models have no labels")


class ResourceExhausted(TidemillError):
    """More was asked for than there is room for."""

    def __init__(self, reason: str, message: str, retry_after_seconds: float) -> None:
        super().__init__(message, reason)
        self.retry_after_seconds = retry_after_seconds


class DeadlineExceeded(TidemillError):
    """The caller's time ran out before the answer."""

    reason = "DEADLINE_EXCEEDED"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer within {seconds:.3f} s")


class Unavailable(TidemillError):
    """A required system cannot be reached at the moment."""

    reason = "UNAVAILABLE"


class StorageUnavailable(Unavailable):
    """The database cannot be reached, is locked or is full."""

    reason = "STORAGE_UNAVAILABLE"

    def __init__(self, detail: str) -> None:
        super().__init__("the database cannot be reached, is locked or is full")
        self.detail = detail


class TritonUnavailable(Unavailable):
    """Triton cannot be reached."""

    reason = "TRITON_UNAVAILABLE"

    def __init__(self, address: str, detail: str) -> None:
        super().__init__("Triton does not answer")
        self.detail = f"{address}: {detail}"


class ModelVersionNotServed(TidemillError):
    """Triton does not serve that version of the model: not yet, or no longer."""

    reason = "MODEL_VERSION_NOT_SERVED"

    def __init__(self, model_name: str, version: int) -> None:
        super().__init__(f"version {version} of {model_name!r} is not served")


class VersionNotLoaded(FailedPrecondition):
    """A version cannot answer callers because Triton has not loaded it."""

    reason = ModelVersionNotServed.reason

    def __init__(self, task: str, version: int, advice: str) -> None:
        super().__init__(f"Triton has not loaded version {version} of {task!r}: {advice}")


class ModelLoadFailed(TidemillError):
    """Triton could not load a model; it still serves the versions that it served before."""

    reason = "MODEL_LOAD_FAILED"

    def __init__(self, model_name: str, detail: str) -> None:
        super().__init__(f"Triton could not load {model_name!r}: {detail}")


class ModelOutputInvalid(TidemillError):
    """A model's output that cannot be read, has the wrong shape, or is not probabilities."""

    reason = "MODEL_OUTPUT_INVALID"

    def __init__(self, model_name: str, version: int, detail: str) -> None:
        super().__init__(f"version {version} of {model_name!r} answered {detail}")


class DataError(TidemillError):
    """A source or a dataset cannot be used; the message names the place."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message, reason)


class TooFewLabels(DataError):
    """A classifier needs at least two labels, and the examples have fewer."""

    def __init__(self, found: str) -> None:
        super().__init__("TOO_FEW_LABELS", f"a classifier needs at least two labels: {found}")


class ConfigurationError(TidemillError):
    """The settings are wrong, or this machine cannot run them."""

    reason = "CONFIGURATION"


class TaskGone(ConfigurationError):
    """The settings do not name a task that has queued work."""

    reason = "TASK_GONE"

    def __init__(self, task: str) -> None:
        super().__init__(f"tidemill.toml has no task {task!r}")
        self.task = task
