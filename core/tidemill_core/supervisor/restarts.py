"""When a process that died is started again."""

from dataclasses import dataclass

_FIRST_BACKOFF_SECONDS = 0.2
_LONGEST_BACKOFF_SECONDS = 10.0
_HEALTHY_SECONDS = 60.0


@dataclass(frozen=True)
class Restarts:
    """How often a process died in a row.

    Attributes:
        deaths: deaths without a minute of health between them.
    """

    deaths: int = 0

    @property
    def delay_seconds(self) -> float:
        """How long to wait before the next start.

        Nothing after the first death: whatever was killed serves again at once. Then 0.2 s,
        doubled each time, at most 10 s.
        """
        if self.deaths <= 1:
            return 0.0
        # The exponent is bounded: a float overflows after a day of crashes.
        backoff = _FIRST_BACKOFF_SECONDS * 2.0 ** min(self.deaths - 2, 10)
        return float(min(_LONGEST_BACKOFF_SECONDS, backoff))

    def after_death(self, lived_seconds: float) -> "Restarts":
        """One death more; it counts as the first again after a minute of health."""
        healthy = lived_seconds >= _HEALTHY_SECONDS
        return Restarts(1 if healthy else self.deaths + 1)
