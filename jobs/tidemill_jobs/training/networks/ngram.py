"""The default classifier: word pieces, and n-grams of them hashed inside the graph.

The vectors of the tokens, and of the n-grams that end at them, are summed over the text and go
through one hidden layer, like fastText (Joulin et al. 2017, "Bag of Tricks for Efficient Text
Classification", https://arxiv.org/abs/1607.01759). In training, a token's vector is the sum of its
own and one for its spelling, from character n-grams (Bojanowski et al. 2017,
https://arxiv.org/abs/1607.04606), so `transfer` teaches `transferred`. `fold` then adds
the spelling's vectors to the table, so they cost nothing in serving.
"""

import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from tidemill_core.text import PADDING_ID
from tidemill_jobs.context import Progress
from tidemill_jobs.training.classifier import Classifier
from tidemill_jobs.training.fit import EpochListener, FitConfig, fit
from tidemill_jobs.training.network import Hyperparameters, Learner, Lesson, Network, chosen
from tidemill_jobs.training.tokenizer import CONTINUATION, pieces, train_tokenizer

if TYPE_CHECKING:
    from optuna import Trial

ORDER_WEIGHTS = (1.0, 0.5, 0.25)
"""The weights of tokens, bigrams and trigrams. Rare n-grams memorize their training text: with
equal weights, accuracy is a point or more lower."""

_MULTIPLIERS = (998_244_353, 1_000_003, 735_632_791)
_MODULUS = 2_147_483_647
"""Ids are below 2**31 and multipliers below 2**30, so a sum of three fits in int64."""

_SPELLING_BUCKETS = 1 << 14
_SPELLING_ORDERS = (3, 4)
_INITIAL_SCALE = 0.03


@dataclass(frozen=True)
class Shape:
    """The shape of a classifier.

    Attributes:
        buckets: the table's rows for hashed n-grams.
        dimension: the width of a row.
        hidden: the width of the hidden layer.
        dropout: the share of pooled and of hidden units dropped in training.
        feature_dropout: the share of tokens and n-grams dropped in training.
    """

    buckets: int = 1 << 15
    dimension: int = 128
    hidden: int = 512
    dropout: float = 0.3
    feature_dropout: float = 0.1


class HashedNgramClassifier(Classifier):
    """The network from token ids to logits.

    Args:
        shape: the shape.
        labels: the number of labels.
        spelling: the spelling buckets of each piece, as `spelling_buckets` returns them.
    """

    def __init__(self, shape: Shape, labels: int, spelling: Tensor) -> None:
        super().__init__()
        self.shape = shape
        self.vocabulary_size = len(spelling)
        rows = self.vocabulary_size + shape.buckets
        self.table = nn.Embedding(rows, shape.dimension, sparse=True)
        nn.init.normal_(self.table.weight, std=_INITIAL_SCALE)
        self.spelling: SpellingTable | None = SpellingTable(spelling, shape.dimension)
        self.norm = nn.LayerNorm(shape.dimension)
        self.hidden = nn.Linear(shape.dimension, shape.hidden)
        self.head = nn.Linear(shape.hidden, labels)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Return logits."""
        ids = input_ids.to(torch.int64).clamp(0, self.vocabulary_size - 1)
        weights = self._weights(ids)
        length = weights.square().sum(dim=1, keepdim=True).clamp(min=1e-6).sqrt()
        if self.spelling is None:
            vectors = self.table(self._features(ids))
            summed = torch.bmm(weights.unsqueeze(1), vectors).squeeze(1)
        else:
            summed = self._summed_sparsely(ids, weights, self.spelling)
        pooled = self.norm(summed / length)
        hidden = functional.gelu(self.hidden(self.dropout(pooled)))
        logits: Tensor = self.head(self.dropout(hidden))
        return logits

    def fold(self) -> None:
        """Add the spelling's vectors to the table; the logits stay the same."""
        if self.spelling is None:
            return
        with torch.no_grad():
            self.table.weight[: self.vocabulary_size] += self.spelling(
                torch.arange(self.vocabulary_size)
            )
        self.spelling = None

    def tables(self) -> Sequence[Tensor]:
        """Return the parameters whose gradients are sparse."""
        spelling = [] if self.spelling is None else [self.spelling.table.weight]
        return [self.table.weight, *spelling]

    def _features(self, ids: Tensor) -> Tensor:
        """Return the table rows of all tokens, bigrams and trigrams: [batch, 3 * length]."""
        blocks = [ids]
        total = ids * _MULTIPLIERS[0]
        for distance in range(1, len(ORDER_WEIGHTS)):
            before = functional.pad(ids, (distance, 0))[:, :-distance]
            total = total + before * _MULTIPLIERS[distance]
            bucket = (total + distance) % _MODULUS % self.shape.buckets
            blocks.append(bucket + self.vocabulary_size)
        return torch.cat(blocks, dim=1)

    def _weights(self, ids: Tensor) -> Tensor:
        present = (ids != PADDING_ID).to(torch.float32)
        weights = torch.cat([present * weight for weight in ORDER_WEIGHTS], dim=1)
        if self.training:
            kept = torch.rand_like(weights) >= self.shape.feature_dropout
            weights = weights * kept
        return weights

    def _summed_sparsely(self, ids: Tensor, weights: Tensor, spelling: "SpellingTable") -> Tensor:
        """Return the weighted sum without looking up padding, which is most of a batch."""
        features = self._features(ids)
        kept = weights > 0
        tokens = kept[:, : ids.shape[1]]
        return _bags(features[kept], kept, weights, self.table.weight) + spelling.summed(
            ids, tokens, weights[:, : ids.shape[1]]
        )


class SpellingTable(nn.Module):
    """A vector for each piece, from its character n-grams.

    Args:
        buckets: as `HashedNgramClassifier` takes them.
        dimension: the width of a vector.
    """

    def __init__(self, buckets: Tensor, dimension: int) -> None:
        super().__init__()
        self.table = nn.Embedding(_SPELLING_BUCKETS + 1, dimension, padding_idx=0, sparse=True)
        nn.init.normal_(self.table.weight[1:], std=_INITIAL_SCALE)
        self.buckets = buckets
        self.scale = (buckets > 0).sum(dim=1, keepdim=True).clamp(min=1).to(torch.float32).rsqrt()

    def forward(self, pieces: Tensor) -> Tensor:
        """Return the vectors of pieces: float32 [n, dimension], from ids of shape [n]."""
        summed = functional.embedding_bag(
            self.buckets[pieces], self.table.weight, mode="sum", sparse=True, padding_idx=0
        )
        return summed * self.scale[pieces]

    def summed(self, ids: Tensor, kept: Tensor, weights: Tensor) -> Tensor:
        """Return the weighted sum of each row's kept tokens; each piece is looked up once."""
        distinct, places = torch.unique(ids[kept], return_inverse=True)
        return _bags(places, kept, weights, self(distinct), sparse=False)


def _bags(
    rows: Tensor, kept: Tensor, weights: Tensor, table: Tensor, sparse: bool = True
) -> Tensor:
    """Return the weighted sum of table rows for each row of `kept`."""
    counts = kept.sum(dim=1)
    return functional.embedding_bag(
        rows,
        table,
        counts.cumsum(0) - counts,
        mode="sum",
        sparse=sparse,
        per_sample_weights=weights[kept],
    )


def spelling_buckets(vocabulary: Sequence[str]) -> Tensor:
    """Return the hashed character n-grams of each piece.

    Args:
        vocabulary: the pieces in the order of their ids; the first two are padding and unknown.

    Returns:
        Buckets from 1, padded with 0: int64 of shape [len(vocabulary), most n-grams of a piece].
    """
    rows = [[], [], *(_character_ngrams(piece) for piece in vocabulary[2:])]
    width = max(1, *map(len, rows))
    return torch.tensor([row + [0] * (width - len(row)) for row in rows])


def _character_ngrams(piece: str) -> list[int]:
    inner = piece.startswith(CONTINUATION)
    marked = (piece[len(CONTINUATION) :] if inner else "<" + piece) + ">"
    grams = {
        marked[start : start + order]
        for order in _SPELLING_ORDERS
        for start in range(len(marked) - order + 1)
    }
    return sorted(1 + zlib.crc32(gram.encode()) % _SPELLING_BUCKETS for gram in grams)


class NgramNetwork:
    """The default network: accurate after seconds of training, and fast."""

    @property
    def defaults(self) -> Hyperparameters:
        """Every hyperparameter with its default."""
        return {**asdict(Shape()), **asdict(FitConfig())}

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
            shape = chosen(Shape, hyperparameters)
            classifier = HashedNgramClassifier(shape, lesson.labels, spelling)
            config = chosen(FitConfig, hyperparameters)
            fit(classifier, lesson.train, lesson.held_out, config, progress, on_epoch)
            return classifier

        return learn


NETWORK: Network = NgramNetwork()
