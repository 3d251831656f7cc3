"""The Ray cluster that shares the work of jobs."""

from pydantic import BaseModel, ConfigDict, Field


class RaySettings(BaseModel):
    """The Ray cluster that shares the work of jobs; needs the extra `ray`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str = Field(default="", pattern=r"^(auto|[^\s/@:]+:[0-9]{1,5})?$")
    """The cluster's head as `host:port`, or `auto` for the cluster that runs on this machine. This
    machine must be one of its nodes. Empty: jobs work in their own processes."""
