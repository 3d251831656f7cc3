"""The delay before a process that died is started again."""

from dataclasses import dataclass

_FIRST_BACKOFF_SECONDS = 0.2
_LONGEST_BACKOFF_SECONDS = 10.0
_HEALTHY_SECONDS = 60.0


@dataclass(frozen=True)
class Restarts:
    """The count of a process's deaths in a row.

    Attributes:
        deaths: deaths without a minute of health between them.
    """

    deaths: int = 0

    @property
    def delay_seconds(self) -> float:
        """The delay before the next start.

        0 after the first death, so that a killed process serves again at once. Then 0.2 s, doubled
        each time, at most 10 s.
        """
        if self.deaths <= 1:
            return 0.0
        # The exponent is bounded: without that, a float overflows after a day of crashes.
        backoff = _FIRST_BACKOFF_SECONDS * 2.0 ** min(self.deaths - 2, 10)
        return float(min(_LONGEST_BACKOFF_SECONDS, backoff))

    def after_death(self, lived_seconds: float) -> "Restarts":
        """Return the count after one more death; after a minute of health it starts at 1 again."""
        healthy = lived_seconds >= _HEALTHY_SECONDS
        return Restarts(1 if healthy else self.deaths + 1)
