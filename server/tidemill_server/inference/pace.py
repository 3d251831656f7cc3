"""Whether Triton will answer in time, judged by the calls before."""

from tidemill_server.inference.admission import Overloaded

_SMOOTHING = 0.2


class Pace:
    """How fast Triton answers for one model.

    Attributes:
        in_flight: calls under way.
        call_seconds: of a call, smoothed over the last ones.
    """

    __slots__ = ("call_seconds", "in_flight")

    def __init__(self) -> None:
        self.in_flight = 0
        self.call_seconds = 0.0

    def took(self, seconds: float) -> None:
        """Learn from a call that is over, however it ended."""
        self.call_seconds += _SMOOTHING * (seconds - self.call_seconds)

    def refuse_late(self, calls: float, remaining: float) -> None:
        """Refuse what cannot be answered in time.

        While nothing is under way nothing is refused: a model that was slow once finds out that
        it is not any more.

        Args:
            calls: how many calls, one after the other, the answer takes.
            remaining: seconds that its caller waits.

        Raises:
            Overloaded: the answer would come too late.
        """
        expected = calls * self.call_seconds
        if self.in_flight and expected > remaining:
            raise Overloaded(f"an answer would take {expected:.3f} s; {remaining:.3f} s are left")
