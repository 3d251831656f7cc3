"""The base of all sections of `tidemill.toml`."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section: unknown settings are refused, and no number is infinite or NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
