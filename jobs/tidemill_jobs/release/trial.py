"""A candidate's trial: loaded in Triton, unrouted, its answers compared and judged."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tidemill_core.domain.model import ModelVersion, model_name
from tidemill_core.errors import TidemillError
from tidemill_core.text import TextEncoder
from tidemill_core.triton.served import is_whole
from tidemill_jobs.context import JobContext
from tidemill_jobs.release.gate import Verdict, judge_challenger, judge_first
from tidemill_jobs.release.serving import serve
from tidemill_jobs.training.evaluate import Measures, evaluate
from tidemill_jobs.training.export import TOLERANCE
from tidemill_jobs.training.labelled_texts import LabelledTexts
from tidemill_jobs.training.train import TrainedModel

_ROWS_A_CALL = 64


class AnswersDiffer(TidemillError):
    """A version answers through Triton otherwise than it did offline."""

    reason = "ANSWERS_DIFFER"

    def __init__(self, candidate: ModelVersion, rows: int, largest: float) -> None:
        super().__init__(
            f"version {candidate.version} answers {rows} texts otherwise through Triton "
            f"than offline; probabilities differ by up to {largest:.2e}"
        )


def try_candidate(
    context: JobContext,
    candidate: ModelVersion,
    trained: TrainedModel,
    test: LabelledTexts,
    proof_texts: Sequence[str],
) -> Verdict:
    """Load a candidate, compare its answers with the trained model's, and judge it.

    Args:
        context: its surroundings.
        candidate: published already.
        trained: what it was made from.
        test: what the gate judges on; may be empty.
        proof_texts: what both must answer alike; at least one.

    Raises:
        ModelLoadFailed: Triton refuses the version.
        AnswersDiffer: Triton answers otherwise than the trained model.
        TritonUnavailable: Triton is away.
    """
    serve(context.storage, context.repository, context.triton, context.task, candidate)
    _compare(context, candidate, trained, proof_texts)
    champion = _champion(context)
    if champion is None:
        commonest = max(Counter(test.labels).values(), default=0)
        return judge_first(trained.test_measures, commonest / max(len(test.labels), 1))
    measured = measure_champion(context, champion, test)
    return judge_challenger(trained.test_measures, measured, context.settings.gate)


def _champion(context: JobContext) -> ModelVersion | None:
    """The champion to compare with; None where there is none, or its files are damaged.

    Triton cannot load a damaged champion, so nobody answers: whoever passes takes over.
    """
    deployment = context.storage.models.deployment(context.task)
    if deployment is None:
        return None
    champion = context.storage.models.get(context.task, deployment.champion)
    return champion if is_whole(context.repository, champion) else None


def measure_champion(context: JobContext, champion: ModelVersion, test: LabelledTexts) -> Measures:
    """The champion's measures on a hold-out, asked through Triton."""
    place = (champion.task, champion.model_format, champion.version)
    labels, encoder = context.repository.manifest(*place).labels, context.repository.encoder(*place)
    probabilities = ask(context, champion, encoder, test.texts, len(labels))
    index = {label: number for number, label in enumerate(labels)}
    return evaluate(probabilities, np.array([index.get(label, -1) for label in test.labels]))


def ask(
    context: JobContext,
    version: ModelVersion,
    encoder: TextEncoder,
    texts: Sequence[str],
    labels: int,
) -> npt.NDArray[np.float32]:
    """Ask a version through Triton: texts -> float32 [texts, labels]."""
    name = model_name(version.task, version.model_format)
    if not texts:
        return np.zeros((0, labels), np.float32)
    parts = []
    for start in range(0, len(texts), _ROWS_A_CALL):
        ids = encoder.encode(texts[start : start + _ROWS_A_CALL])
        parts.append(context.triton.infer(name, version.version, ids))
    return np.concatenate(parts)


def _compare(
    context: JobContext, candidate: ModelVersion, trained: TrainedModel, texts: Sequence[str]
) -> None:
    offline = trained.probabilities(texts)
    online = ask(context, candidate, trained.encoder, texts, len(trained.labels))
    if online.shape != offline.shape:
        raise AnswersDiffer(candidate, len(texts), 1.0)
    difference = np.abs(offline - online).max(axis=1, initial=0.0)
    differing = int((~(difference <= TOLERANCE)).sum())  # what is not a number differs too
    if differing:
        raise AnswersDiffer(candidate, differing, float(difference.max()))
