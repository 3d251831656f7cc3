"""A small transformer that is trained from scratch."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from tidemill_core.errors import ConfigurationError
from tidemill_jobs.context import Progress
from tidemill_jobs.training.classifier import Classifier, Head, HeadShape
from tidemill_jobs.training.encoder import Encoder, EncoderShape, trimmed
from tidemill_jobs.training.fit import EpochListener, FitConfig, fit
from tidemill_jobs.training.network import Hyperparameters, Learner, Lesson, Network, chosen
from tidemill_jobs.training.tokenizer import LONGEST_SEQUENCE, train_tokenizer

if TYPE_CHECKING:
    from optuna import Trial

SHAPE = EncoderShape(layers=2, width=128, heads=4, inner=512, encoder_dropout=0.1)
FIT = FitConfig(rate=0.002, similar_lengths=20)


class TransformerClassifier(Classifier):
    """The classifier: an encoder and a head.

    Args:
        encoder: the encoder.
        head: takes the encoder's vectors.
    """

    def __init__(self, encoder: Encoder, head: Head) -> None:
        super().__init__()
        self.encoder = encoder
        self.norm = nn.LayerNorm(encoder.width)
        self.head = head

    def forward(self, input_ids: Tensor) -> Tensor:
        """Return logits."""
        ids = input_ids.to(torch.int64).clamp(0, self.encoder.vocabulary_size - 1)
        logits: Tensor = self.head(self.norm(self.encoder(trimmed(ids))))
        return logits


class TransformerNetwork:
    """Attention instead of n-grams: for tasks where distant words decide, and much data."""

    @property
    def defaults(self) -> Hyperparameters:
        """Every hyperparameter with its default."""
        return {**asdict(SHAPE), **asdict(HeadShape()), **asdict(FIT)}

    def suggest(self, trial: "Trial") -> Hyperparameters:
        """Return a trial's values."""
        return {
            "layers": trial.suggest_int("layers", 1, 4),
            "encoder_dropout": trial.suggest_float("encoder_dropout", 0.0, 0.3),
            "dropout": trial.suggest_float("dropout", 0.1, 0.6),
            "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.2),
            "rate": trial.suggest_float("rate", 5e-4, 5e-3, log=True),
        }

    def tokenizer(self, texts: Sequence[str]) -> Tokenizer:
        """Return a word-piece tokenizer that is trained on the texts."""
        return train_tokenizer(texts)

    def prepare(self, lesson: Lesson, progress: Progress) -> Learner:  # noqa: ARG002 -- the seam's
        """Return the learner."""
        vocabulary_size = lesson.tokenizer.get_vocab_size()

        def learn(
            hyperparameters: Hyperparameters, progress: Progress, on_epoch: EpochListener
        ) -> Classifier:
            shape = chosen(EncoderShape, hyperparameters)
            if shape.width % shape.heads:
                found = f"width {shape.width}, heads {shape.heads}"
                raise ConfigurationError(f"width must be a multiple of heads: {found}")
            encoder = Encoder(shape, vocabulary_size, LONGEST_SEQUENCE)
            head = Head(chosen(HeadShape, hyperparameters), shape.width, lesson.labels)
            classifier = TransformerClassifier(encoder, head)
            config = chosen(FitConfig, hyperparameters)
            fit(classifier, lesson.train, lesson.held_out, config, progress, on_epoch)
            return classifier

        return learn


NETWORK: Network = TransformerNetwork()
