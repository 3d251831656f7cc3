"""Where traces are sent."""

from pydantic import Field

from tidemill_core.settings.forms import OptionalHttpUrl
from tidemill_core.settings.section import Section


class TracingSettings(Section):
    """OpenTelemetry traces."""

    otlp_endpoint: OptionalHttpUrl = ""
    """URL of an OTLP/gRPC receiver, such as http://localhost:4317; empty turns tracing off."""
    sample: float = Field(default=0.01, ge=0.0, le=1.0)
    """Share of the calls that are traced if the caller does not decide."""
    openinference: bool = False
    """Whether spans have OpenInference's attributes, which Phoenix reads."""
    send_texts: bool = False
    """Whether these attributes include the text of a call. What is sent, `tidemill erase` cannot
    erase. Tasks whose `store_text` is not `plain` never send texts."""
