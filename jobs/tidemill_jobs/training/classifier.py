"""The modules that are learned and served."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


class Classifier(nn.Module):
    """The module that a network learns: token ids to logits.

    Its `forward` takes integers of shape [batch, length], padded with 0 at the end, and returns
    float32 of shape [batch, labels]. It clamps ids out of range, and accepts a row of padding.
    """

    def tables(self) -> Sequence[Tensor]:
        """Return the parameters whose gradients are sparse."""
        return ()

    def fold(self) -> None:
        """Drop what only training needs; the logits stay the same."""


@dataclass(frozen=True)
class HeadShape:
    """The shape of a head.

    Attributes:
        hidden: the width of the hidden layer.
        dropout: the share of given and of hidden units dropped in training.
    """

    hidden: int = 512
    dropout: float = 0.3


class Head(nn.Module):
    """One hidden layer from a text's vector to logits.

    Args:
        shape: the shape.
        width: the width of the vectors.
        labels: the number of labels.
    """

    def __init__(self, shape: HeadShape, width: int, labels: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, shape.hidden)
        self.logits = nn.Linear(shape.hidden, labels)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, vectors: Tensor) -> Tensor:
        """Return logits, float32 of shape [batch, labels], from vectors [batch, width]."""
        hidden = functional.gelu(self.hidden(self.dropout(vectors)))
        logits: Tensor = self.logits(self.dropout(hidden))
        return logits


class CalibratedClassifier(nn.Module):
    """The served module: token ids to calibrated probabilities.

    Args:
        network: a trained classifier; it is folded.
        temperature: the divisor of the logits, above 0.
        odds: the factor of each probability, before the sum is scaled to 1: above 0, float32
            [labels]; None for 1.
    """

    def __init__(self, network: Classifier, temperature: float, odds: Tensor | None = None) -> None:
        super().__init__()
        network.fold()
        self.network = network
        self.temperature = temperature
        self.register_buffer("log_odds", None if odds is None else odds.log())
        self.eval().requires_grad_(False)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Return probabilities, float32 of shape [batch, labels].

        Args:
            input_ids: integers of shape [batch, sequence_length].
        """
        logits = self.network(input_ids) / self.temperature
        return torch.softmax(logits if self.log_odds is None else logits + self.log_odds, dim=1)

    def fingerprint(self) -> str:
        """Return the SHA-256 of the weights and the temperature, in hex."""
        hashed = hashlib.sha256(repr(self.temperature).encode())
        for name, weights in sorted(self.state_dict().items()):
            hashed.update(f"{name} {weights.dtype} {tuple(weights.shape)}".encode())
            hashed.update(weights.contiguous().numpy().tobytes())
        return hashed.hexdigest()


class RewardModel(CalibratedClassifier):
    """The served module of a reward model: token ids to rewards.

    The temperature makes the logistic function of two rewards' difference the probability that
    people prefer the first answer.
    """

    def forward(self, input_ids: Tensor) -> Tensor:
        """Return rewards, float32 of shape [batch, 1]."""
        rewards: Tensor = self.network(input_ids) / self.temperature
        return rewards
