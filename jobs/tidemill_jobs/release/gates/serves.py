"""Gates on Triton: it loads the candidate, which then answers as it did offline."""

import numpy as np

from tidemill_core.counted import counted
from tidemill_core.domain.gate import GateVerdict
from tidemill_jobs.release.gates.gate import Finding, limit
from tidemill_jobs.release.serving import serve
from tidemill_jobs.release.trial import Trial
from tidemill_jobs.training.export import TOLERANCE


def loads(trial: Trial) -> Finding:
    """Load the candidate in Triton, beside the versions that it serves.

    Raises:
        ModelLoadFailed: a file differs from the published one, or Triton refuses it.
    """
    serve(trial.serving, trial.candidate.version.task, trial.candidate.version)
    return Finding(GateVerdict.PASSED, f"Triton serves it as {trial.published.name}")


def answers(trial: Trial) -> Finding:
    """Compare what the published files answer through Triton with what was answered offline."""
    if tuple(trial.published.manifest.labels) != tuple(trial.candidate.labels):
        reason = "the published labels differ from the trained ones, or are in another order"
        return Finding(GateVerdict.FAILED, reason)
    texts = trial.data.proof_texts
    online, offline = trial.published.answer(texts), trial.candidate.offline(texts)
    difference = np.abs(offline - online).max(axis=1, initial=0.0)
    differing = int((~(difference <= TOLERANCE)).sum())  # NaN differs too
    largest = float(np.nan_to_num(difference.max(initial=0.0), nan=1.0))
    reason = (
        f"answered differently through Triton than offline: {differing:,} of "
        f"{counted(len(texts), 'text')}; "
        f"probabilities differ by up to {largest:.1e}"
    )
    return limit(largest, TOLERANCE, reason)
