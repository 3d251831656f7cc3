"""The gate on weights in int8: they hardly change an answer."""

import numpy as np
import torch
from scipy.stats import binom

from tidemill_core.counted import counted
from tidemill_jobs.release.gates.gate import Finding, limit, not_applicable
from tidemill_jobs.release.trial import Trial
from tidemill_jobs.training.fit import answers_of

MAX_CHANGED = 0.01
"""The largest share of texts whose likeliest label may change."""
_CHANCE = 0.05


def int8(trial: Trial) -> Finding:
    """Compare the labels answered through Triton with those of the weights before rounding."""
    unrounded, texts = trial.candidate.unrounded, trial.data.proof_texts
    if unrounded is None:
        return not_applicable("the weights are not rounded to int8")
    input_ids = torch.from_numpy(trial.published.encoder.encode(texts))
    expected = answers_of(unrounded, input_ids).numpy().argmax(axis=1)
    found = trial.published.answer_hold_out(texts).argmax(axis=1)
    changed = int(np.count_nonzero(found != expected))
    return judge_changes(changed, len(texts))


def judge_changes(changed: int, texts: int) -> Finding:
    """Compare how many answers changed with the most that chance explains at MAX_CHANGED."""
    allowed = float(binom.ppf(1 - _CHANCE, texts, MAX_CHANGED))
    reason = f"weights in int8 change the label of {changed:,} of {counted(texts, 'text')}"
    return limit(float(changed), allowed, reason)
