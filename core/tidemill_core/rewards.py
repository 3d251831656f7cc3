"""Reward models: how prompts and answers become texts, and what a reward says.

A reward model is trained on pairs of answers to one prompt, of which people prefer one, and rates a
single answer. The difference of two rewards is the log odds that people prefer the first answer:
the model of Bradley and Terry (1952), https://doi.org/10.2307/2334029.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_SEPARATOR = " \x1e "
"""Stands between the parts of a text. No part has it, because control characters are refused."""

REWARD_LABELS = ("",)
"""The labels of a reward model: its one output is a reward, and no class has an empty name."""

PAIR_LABELS = ("first", "second")
"""Which answer of a pair people prefer."""


def rated_text(prompt: str, response: str) -> str:
    """Return the text that a reward model reads.

    The answer comes first: of a text that is longer than the model's input, the end is cut off.
    """
    return response + _SEPARATOR + prompt


def prompt_and_response(text: str) -> tuple[str, str]:
    """Return the parts of a `rated_text`; both are empty if the text was not stored."""
    response, _, prompt = text.partition(_SEPARATOR)
    return prompt, response


def pair_text(prompt: str, first: str, second: str) -> str:
    """Return a pair as one text, as dataset versions have it."""
    return _SEPARATOR.join((first, second, prompt))


def pair_sides(text: str) -> tuple[str, str]:
    """Return the `rated_text` of each answer of a `pair_text`."""
    first, second, prompt = text.split(_SEPARATOR)
    return rated_text(prompt, first), rated_text(prompt, second)


def confidences(answers: npt.NDArray[np.float32], labels: Sequence[str]) -> npt.NDArray[np.float32]:
    """Return the confidence of each answer of a model, in [0, 1]: shape [n].

    That of a reward is the probability that people prefer its answer to one with the reward 0.

    Args:
        answers: float32 of shape [n, labels], probabilities or rewards.
        labels: the model's labels.
    """
    found: npt.NDArray[np.float32] = (
        # The logistic function, which does not overflow when it is written this way.
        (1 + np.tanh(answers[:, 0] / 2)) / 2
        if tuple(labels) == REWARD_LABELS
        else answers.max(axis=1, initial=0.0)
    )
    return found
