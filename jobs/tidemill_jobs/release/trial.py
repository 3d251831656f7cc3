"""The trial of a candidate: it is loaded without traffic, and its answers are judged."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tidemill_core.domain.label_names import Renames, current
from tidemill_core.domain.model import ModelVersion, model_name
from tidemill_core.errors import TidemillError
from tidemill_core.settings import GateSettings
from tidemill_core.text import TextEncoder
from tidemill_core.triton.control import TritonControl
from tidemill_core.triton.served import is_whole
from tidemill_jobs.release.gate import GateDecision, judge_challenger, judge_first
from tidemill_jobs.release.serving import Serving, serve
from tidemill_jobs.training.evaluate import Measures, evaluate
from tidemill_jobs.training.export import TOLERANCE
from tidemill_jobs.training.labeled_texts import LabeledTexts, TrainingData
from tidemill_jobs.training.train import TrainedModel

_ROWS_A_CALL = 64


class AnswersDiffer(TidemillError):
    """A version answers differently through Triton than offline."""

    reason = "ANSWERS_DIFFER"

    def __init__(self, candidate: ModelVersion, rows: int, largest: float) -> None:
        super().__init__(
            f"version {candidate.version} answers {rows} texts differently through Triton than "
            f"offline; probabilities differ by up to {largest:.2e}"
        )


def try_candidate(
    serving: Serving,
    candidate: ModelVersion,
    trained: TrainedModel,
    data: TrainingData,
    gate: GateSettings,
    renames: Renames,
) -> GateDecision:
    """Load a candidate, compare its answers with the trained model's, and judge it.

    Args:
        serving: where to load it.
        candidate: a published version.
        trained: its model.
        data: the test split to judge on, and the texts that Triton must answer like `trained`.
        gate: how good a challenger must be.
        renames: new names of labels by the old ones, with which the champion may answer.

    Raises:
        ModelLoadFailed: Triton refuses the version.
        AnswersDiffer: Triton answers differently from the trained model.
        TritonUnavailable: Triton is away.
    """
    serve(serving, candidate.task, candidate)
    _compare(serving.triton, candidate, trained, data.proof_texts)
    champion = _champion(serving, candidate.task)
    if champion is None:
        labels = data.test.labels
        commonest = max(Counter(labels).values(), default=0)
        return judge_first(trained.test_measures, commonest / max(len(labels), 1))
    measured = _measure_champion(serving, champion, data.test, renames)
    return judge_challenger(trained.test_measures, measured, gate)


def _champion(serving: Serving, task: str) -> ModelVersion | None:
    """Return the champion to compare with; None if there is none, or its files are damaged.

    Triton cannot load a damaged champion, so a candidate need not be better than it.
    """
    deployment = serving.models.deployment(task)
    if deployment is None:
        return None
    champion = serving.models.get(task, deployment.champion)
    return champion if is_whole(serving.repository, champion) else None


def _measure_champion(
    serving: Serving, champion: ModelVersion, test: LabeledTexts, renames: Renames
) -> Measures:
    """Return the champion's measures on a hold-out, with its labels under their current names."""
    place = (champion.task, champion.model_format, champion.version)
    labels, encoder = serving.repository.manifest(*place).labels, serving.repository.encoder(*place)
    probabilities = ask(serving.triton, champion, encoder, test.texts, len(labels))
    named, probabilities = _renamed(labels, probabilities, renames)
    index = {label: number for number, label in enumerate(named)}
    return evaluate(probabilities, np.array([index.get(label, -1) for label in test.labels]))


def _renamed(
    labels: Sequence[str], probabilities: npt.NDArray[np.float32], renames: Renames
) -> tuple[Sequence[str], npt.NDArray[np.float32]]:
    """Return the current names of labels, each once, and their probabilities: [texts, names].

    The probabilities of merged labels are added.
    """
    names = [current(label, renames) for label in labels]
    once = sorted(set(names))
    summed = np.zeros((len(probabilities), len(once)), np.float32)
    for name, column in zip(names, probabilities.T, strict=True):
        summed[:, once.index(name)] += column
    return once, summed


def ask(
    triton: TritonControl,
    version: ModelVersion,
    encoder: TextEncoder,
    texts: Sequence[str],
    labels: int,
) -> npt.NDArray[np.float32]:
    """Return a version's answers through Triton: float32 [texts, labels]."""
    name = model_name(version.task, version.model_format)
    if not texts:
        return np.zeros((0, labels), np.float32)
    parts = []
    for start in range(0, len(texts), _ROWS_A_CALL):
        ids = encoder.encode(texts[start : start + _ROWS_A_CALL])
        parts.append(triton.infer(name, version.version, ids))
    return np.concatenate(parts)


def _compare(
    triton: TritonControl, candidate: ModelVersion, trained: TrainedModel, texts: Sequence[str]
) -> None:
    offline = trained.probabilities(texts)
    online = ask(triton, candidate, trained.encoder, texts, len(trained.labels))
    if online.shape != offline.shape:
        raise AnswersDiffer(candidate, len(texts), 1.0)
    difference = np.abs(offline - online).max(axis=1, initial=0.0)
    differing = int((~(difference <= TOLERANCE)).sum())  # NaN differs too
    if differing:
        raise AnswersDiffer(candidate, differing, float(difference.max()))
