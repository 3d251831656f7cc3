"""The Ray cluster that shares the work of jobs."""

from typing import Annotated

from tidemill_core.settings.forms import of_form
from tidemill_core.settings.section import Section

_Address = Annotated[
    str,
    of_form(
        r"(auto|[^\s/@:]+:[0-9]{1,5})?",
        "must be a host and a port such as 10.0.0.1:6379, or auto",
    ),
]


class RaySettings(Section):
    """The Ray cluster that shares the work of jobs; needs the extra `ray`."""

    address: _Address = ""
    """The cluster's head as `host:port`, or `auto` for the cluster that runs on this machine. This
    machine must be one of its nodes. Empty: jobs work in their own processes."""
