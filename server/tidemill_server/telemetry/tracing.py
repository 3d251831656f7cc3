"""Traces of calls: what the interceptor and the coalescer know of them.

Off, which is the default, nothing of OpenTelemetry is imported and a span costs next to nothing.
"""

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from tidemill_core.settings import TracingSettings

Metadata = Iterable[tuple[str, str | bytes]]
"""A call's metadata, as gRPC has it."""


class ServerSpan(Protocol):
    """A call, from its start to its end; a context manager.

    Attributes:
        trace_id: 32 hexadecimal digits; empty where the call is not traced.
    """

    trace_id: str

    def ended(self, code: str, reason: str) -> None:
        """Say how the call ended: the name of its gRPC status, and an error's reason."""
        ...

    def __enter__(self) -> Self:
        """Make it what `Tracing.current` gives to all that is done for the call."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """End it."""
        ...


class TritonSpan(Protocol):
    """A call to Triton; a context manager.

    Attributes:
        request_id: for `ModelInferRequest.id`; empty where no request in the call is traced.
    """

    request_id: str

    def __enter__(self) -> Self:
        """Begin it."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """End it; an exception makes it an error, by its type's name only."""
        ...


class Tracing(Protocol):
    """Where spans come from. None of it raises, waits or fails a call."""

    def server_span(self, method: str, metadata: Metadata) -> ServerSpan:
        """The span of a call that begins.

        Args:
            method: such as `PredictionService/Predict`.
            metadata: of the call; a W3C `traceparent` in it is the span's parent and decides
                whether the call is traced.
        """
        ...

    def current(self) -> Any:
        """The span of the call that this is done for, to hand to `triton_span`; None without."""
        ...

    def triton_span(
        self, model: str, version: int, rows: int, requests: Sequence[Any]
    ) -> TritonSpan:
        """The span of a call to Triton.

        Args:
            model: `<task>-<format>`.
            version: of the model.
            rows: texts in the call.
            requests: what `current` gave for each request that is merged in it.
        """
        ...

    def close(self) -> None:
        """Export what is left, for at most two seconds; blocks."""
        ...


class _NoSpan:
    trace_id = ""
    request_id = ""

    def ended(self, code: str, reason: str) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


NO_SPAN = _NoSpan()


class NoTracing:
    """Traces nothing."""

    def server_span(self, method: str, metadata: Metadata) -> ServerSpan:
        """No span."""
        del method, metadata
        return NO_SPAN

    def current(self) -> None:
        """No span."""

    def triton_span(
        self, model: str, version: int, rows: int, requests: Sequence[Any]
    ) -> TritonSpan:
        """No span."""
        del model, version, rows, requests
        return NO_SPAN

    def close(self) -> None:
        """Nothing is left."""


def open_tracing(settings: TracingSettings, version: str) -> Tracing:
    """Tracing as it is set up.

    Args:
        settings: without an endpoint nothing is traced.
        version: of Tidemill.

    Raises:
        ConfigurationError: the endpoint is no http or https URL.
    """
    if not settings.otlp_endpoint:
        return NoTracing()
    # Here, for it costs a front that traces nothing memory and time to start.
    from tidemill_server.telemetry.otlp import OtlpTracing

    return OtlpTracing(settings.otlp_endpoint, settings.sample, version)
