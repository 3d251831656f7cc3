"""Hashed n-grams of word pieces, summed over a text.

The vectors of the tokens, and of the n-grams that end at them, are summed over the text, like
fastText (Joulin et al. 2017, "Bag of Tricks for Efficient Text Classification",
https://arxiv.org/abs/1607.01759). In training, a token's vector is the sum of its own and one for
its spelling, from character n-grams (Bojanowski et al. 2017, https://arxiv.org/abs/1607.04606), so
`transfer` teaches `transferred`. `fold` then adds the spelling's vectors to the table, so they cost
nothing in serving.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tidemill_core.text import PADDING_ID
from tidemill_jobs.training.tokenizer import CONTINUATION

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
class BagShape:
    """The shape of a bag.

    Attributes:
        buckets: the table's rows for hashed n-grams.
        dimension: the width of a row.
        feature_dropout: the share of tokens and n-grams dropped in training.
    """

    buckets: int = 1 << 15
    dimension: int = 128
    feature_dropout: float = 0.1


class NgramBag(nn.Module):
    """The module from token ids to one normalized vector for each text.

    Args:
        shape: the shape.
        spelling: the spelling buckets of each piece, as `spelling_buckets` returns them.
    """

    def __init__(self, shape: BagShape, spelling: Tensor) -> None:
        super().__init__()
        self.shape = shape
        self.vocabulary_size = len(spelling)
        rows = self.vocabulary_size + shape.buckets
        self.table = nn.Embedding(rows, shape.dimension, sparse=True)
        nn.init.normal_(self.table.weight, std=_INITIAL_SCALE)
        self.spelling: SpellingTable | None = SpellingTable(spelling, shape.dimension)
        self.norm = nn.LayerNorm(shape.dimension)

    def forward(self, ids: Tensor) -> Tensor:
        """Return the vectors: float32 of shape [batch, dimension].

        Args:
            ids: int64 of shape [batch, length], in range, padded with 0 at the end.
        """
        weights = self._weights(ids)
        length = weights.square().sum(dim=1, keepdim=True).clamp(min=1e-6).sqrt()
        if self.spelling is None:
            vectors = self.table(self._features(ids))
            summed = torch.bmm(weights.unsqueeze(1), vectors).squeeze(1)
        else:
            summed = self._summed_sparsely(ids, weights, self.spelling)
        normed: Tensor = self.norm(summed / length)
        return normed

    def fold(self) -> None:
        """Add the spelling's vectors to the table; the vectors stay the same."""
        if self.spelling is None:
            return
        with torch.no_grad():
            self.table.weight[: self.vocabulary_size] += self.spelling(
                torch.arange(self.vocabulary_size)
            )
        self.spelling = None

    def tables(self) -> list[Tensor]:
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
        buckets: as `NgramBag` takes them.
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
