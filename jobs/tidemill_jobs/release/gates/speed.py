"""Gates on speed in Triton: the latency objective, and the champion's speed."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tidemill_jobs.release.gates.gate import Finding, limit, not_applicable
from tidemill_jobs.release.trial import PublishedModel, Trial

DEFAULT_MAX_SLOWDOWN = 2.0
"""The limit within one network where the task sets none."""
_CALLS = 200
_BATCH_ROWS = 128
_BATCHES = 5
_ROUNDS = 5
_WARM_UP_CALLS = 10

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Speed:
    """How fast a version answers in Triton.

    Attributes:
        p50_ms: the median latency of a call with one text.
        rows_per_second: texts a second in calls with 128 texts.
    """

    p50_ms: float
    rows_per_second: float


@dataclass(frozen=True)
class Times:
    """How long each call of a version took, in seconds.

    Attributes:
        singles: calls with one text.
        batches: calls with 128 texts.
    """

    singles: npt.NDArray[np.float64]
    batches: npt.NDArray[np.float64]

    @property
    def speed(self) -> Speed:
        """The version's speed by these times."""
        return Speed(1e3 * float(np.median(self.singles)), _BATCH_ROWS / float(self.batches.min()))

    def fastest(self, other: "Times") -> "Times":
        """Return the shorter of each call's two times."""
        return Times(
            np.minimum(self.singles, other.singles), np.minimum(self.batches, other.batches)
        )


def latency(trial: Trial) -> Finding:
    """Compare the 99th percentile of the latency with the objective."""
    objective, texts = trial.limits.max_p99_latency_ms, _texts(trial)
    if not texts:
        return not_applicable("there are no texts to send")
    model = trial.published
    calls = _singles(model.encoder.encode(texts))
    _warm_up(model, calls)
    p99_ms = quiet_p99_ms(lambda: _times([model], [calls])[0], objective)
    reason = f"p99 {p99_ms:.1f} ms over {_CALLS} calls with {_origin(trial)}"
    return limit(p99_ms, objective, reason)


def quiet_p99_ms(send: Callable[[], Sequence[float]], objective_ms: float) -> float:
    """Return the 99th percentile of the calls' latencies on a machine without other work.

    Other work only adds to the time of a call, and meets other calls in each round. So the fastest
    of a call's times in up to five rounds counts. A text that takes long in each round still does.

    Args:
        send: sends the same calls, and returns the seconds of each.
        objective_ms: once the percentile is within it, no more rounds are sent.
    """
    fastest, p99_ms = np.array(np.inf), np.inf
    for _ in range(_ROUNDS):
        fastest = np.minimum(fastest, send())
        p99_ms = 1e3 * float(np.percentile(fastest, 99))
        if p99_ms <= objective_ms:
            break
    return p99_ms


def speed(trial: Trial) -> Finding:
    """Compare latency and throughput with the champion's, whichever is worse.

    Both are asked in turn with the same texts.
    """
    champion, texts = trial.published_champion, _texts(trial)
    if champion is None:
        return not_applicable("no champion to compare with")
    if not texts:
        return not_applicable("there are no texts to send")
    allowed = trial.limits.gate.max_slowdown
    if allowed is None:
        network, other = _network(trial.published), _network(champion)
        if network != other or not network:
            networks = f"the network is {network or 'unknown'}, the champion's {other or 'unknown'}"
            return not_applicable(f"{networks}; gate.max_slowdown sets a limit for any network")
        allowed = DEFAULT_MAX_SLOWDOWN
    models = [trial.published, champion]
    ours, theirs = quiet_speeds(lambda: measure(models, texts), allowed)
    ratio = slowdown(ours, theirs)
    reason = (
        f"{ratio:.2f} times the champion's time with {_origin(trial)}: median "
        f"{ours.p50_ms:.2f} against {theirs.p50_ms:.2f} ms, "
        f"{ours.rows_per_second:.0f} against {theirs.rows_per_second:.0f} texts a second"
    )
    details: dict[str, Any] = {"candidate": asdict(ours), "champion": asdict(theirs)}
    return limit(ratio, allowed, reason, details)


def quiet_speeds(send: Callable[[], Sequence[Times]], allowed: float) -> list[Speed]:
    """Return the speeds of a version and the champion on a machine without other work.

    The fastest of a call's times in up to five rounds counts, as in `quiet_p99_ms`.

    Args:
        send: sends the same calls to both in turn, and returns the seconds of each call.
        allowed: once the slowdown is within it, no more rounds are sent.
    """
    fastest = send()
    speeds = [each.speed for each in fastest]
    for _ in range(1, _ROUNDS):
        if slowdown(*speeds) <= allowed:
            break
        fastest = [before.fastest(now) for before, now in zip(fastest, send(), strict=True)]
        speeds = [each.speed for each in fastest]
    return speeds


def _network(model: PublishedModel) -> str:
    training = model.manifest.training
    return "" if training is None else training.network


def slowdown(ours: Speed, theirs: Speed) -> float:
    """Return how many times as long the slower of single calls and batches takes."""
    return max(ours.p50_ms / theirs.p50_ms, theirs.rows_per_second / ours.rows_per_second)


def _texts(trial: Trial) -> Sequence[str]:
    return (trial.traffic or trial.data.proof_texts)[:_CALLS]


def _origin(trial: Trial) -> str:
    return "recent texts of callers" if trial.traffic else "held-out texts"


def measure(models: Sequence[PublishedModel], texts: Sequence[str]) -> list[Times]:
    """Send the same texts to models in turn: single texts, then batches."""
    encoded = [model.encoder.encode(texts) for model in models]
    singles = [_singles(ids) for ids in encoded]
    batches = [[ids[np.arange(_BATCH_ROWS) % len(texts)]] * _BATCHES for ids in encoded]
    for model, calls in zip(models, singles, strict=True):
        _warm_up(model, calls)
    measured = zip(_times(models, singles), _times(models, batches), strict=True)
    return [Times(np.array(one), np.array(many)) for one, many in measured]


def _singles(ids: Ids) -> list[Ids]:
    """Return the calls with one text each."""
    return [ids[i : i + 1] for i in np.arange(_CALLS) % len(ids)]


def _warm_up(model: PublishedModel, calls: Sequence[Ids]) -> None:
    _times([model], [calls[:_WARM_UP_CALLS]])


def _times(models: Sequence[PublishedModel], calls: Sequence[Sequence[Ids]]) -> list[list[float]]:
    """Return the seconds of each model's calls; the models are asked in turn."""
    seconds: list[list[float]] = [[] for _ in models]
    for turn in zip(*calls, strict=True):
        for place, (model, ids) in enumerate(zip(models, turn, strict=True)):
            start = time.perf_counter()
            model.infer(ids)
            seconds[place].append(time.perf_counter() - start)
    return seconds
