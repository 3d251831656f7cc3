"""The default network: n-grams of word pieces, hashed inside the graph, and one hidden layer."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import torch
from tokenizers import Tokenizer
from torch import Tensor

from tidemill_jobs.context import Progress
from tidemill_jobs.training.classifier import Classifier, Head, HeadShape
from tidemill_jobs.training.fit import EpochListener, FitConfig, fit
from tidemill_jobs.training.network import Hyperparameters, Learner, Lesson, Network, chosen
from tidemill_jobs.training.ngrams import BagShape, NgramBag, spelling_buckets
from tidemill_jobs.training.tokenizer import pieces, train_tokenizer

if TYPE_CHECKING:
    from optuna import Trial


class NgramClassifier(Classifier):
    """The classifier: a bag of n-grams and a head.

    Args:
        bag: the bag.
        head: takes the bag's vectors.
    """

    def __init__(self, bag: NgramBag, head: Head) -> None:
        super().__init__()
        self.bag = bag
        self.head = head

    def forward(self, input_ids: Tensor) -> Tensor:
        """Return logits."""
        ids = input_ids.to(torch.int64).clamp(0, self.bag.vocabulary_size - 1)
        logits: Tensor = self.head(self.bag(ids))
        return logits

    def tables(self) -> Sequence[Tensor]:
        """Return the parameters whose gradients are sparse."""
        return self.bag.tables()

    def fold(self) -> None:
        """Fold the bag."""
        self.bag.fold()


class NgramNetwork:
    """The default network: accurate after seconds of training, and fast."""

    @property
    def defaults(self) -> Hyperparameters:
        """Every hyperparameter with its default."""
        return {**asdict(BagShape()), **asdict(HeadShape()), **asdict(FitConfig())}

    def suggest(self, trial: "Trial") -> Hyperparameters:
        """Return a trial's values."""
        return {
            "dropout": trial.suggest_float("dropout", 0.1, 0.6),
            "feature_dropout": trial.suggest_float("feature_dropout", 0.0, 0.3),
            "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.2),
            "table_rate": trial.suggest_float("table_rate", 3.0, 30.0, log=True),
            "rate": trial.suggest_float("rate", 1e-3, 1e-2, log=True),
        }

    def tokenizer(self, texts: Sequence[str]) -> Tokenizer:
        """Return a word-piece tokenizer that is trained on the texts."""
        return train_tokenizer(texts)

    def prepare(self, lesson: Lesson, progress: Progress) -> Learner:  # noqa: ARG002 -- the seam's
        """Return the learner."""
        spelling = spelling_buckets(pieces(lesson.tokenizer))

        def learn(
            hyperparameters: Hyperparameters, progress: Progress, on_epoch: EpochListener
        ) -> Classifier:
            bag = NgramBag(chosen(BagShape, hyperparameters), spelling)
            head = Head(chosen(HeadShape, hyperparameters), bag.shape.dimension, lesson.labels)
            classifier = NgramClassifier(bag, head)
            config = chosen(FitConfig, hyperparameters)
            fit(classifier, lesson.train, lesson.held_out, config, progress, on_epoch)
            return classifier

        return learn


NETWORK: Network = NgramNetwork()
