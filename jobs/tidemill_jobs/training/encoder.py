"""The encoder of BERT: attention over token ids, and the mean of what it gives.

Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers for Language
Understanding", https://arxiv.org/abs/1810.04805, with one segment.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tidemill_core.text import PADDING_ID

_NORM_EPSILON = 1e-12


@dataclass(frozen=True)
class EncoderShape:
    """The shape of an encoder.

    Attributes:
        layers: the number of layers.
        width: the width of a token's vector.
        heads: the attention heads; they divide the width.
        inner: the width inside a layer.
        encoder_dropout: the share of units dropped in training.
    """

    layers: int
    width: int
    heads: int
    inner: int
    encoder_dropout: float


def trimmed(input_ids: Tensor) -> Tensor:
    """Return the rows without the columns that are padding in all of them, but at least two.

    Attention takes time with the square of the length, and rows are padded to the longest text of
    the training. The exports have this step too: each exporter needs its own way to write it.
    """
    columns = (input_ids != PADDING_ID).any(dim=0).sum().clamp(min=2)
    if torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]  # not exported
        return input_ids[:, :columns]
    width = columns.item()
    torch._check(width >= 2)
    torch._check(width <= input_ids.shape[1])
    return input_ids[:, :width]


class Encoder(nn.Module):
    """The module from token ids to one vector for each text.

    Args:
        shape: the shape.
        vocabulary_size: token ids lie in [0, vocabulary_size).
        positions: the longest row, in tokens; later tokens share the last position.
    """

    def __init__(self, shape: EncoderShape, vocabulary_size: int, positions: int) -> None:
        super().__init__()
        self.width, self.vocabulary_size = shape.width, vocabulary_size
        self.words = nn.Embedding(vocabulary_size, shape.width)
        self.positions = nn.Embedding(positions, shape.width)
        self.norm = nn.LayerNorm(shape.width, eps=_NORM_EPSILON)
        self.dropout = nn.Dropout(shape.encoder_dropout)
        self.layers = nn.ModuleList(_Layer(shape) for _ in range(shape.layers))

    def forward(self, input_ids: Tensor) -> Tensor:
        """Return the mean vector of each row's tokens: float32 [batch, width].

        Args:
            input_ids: int64 of shape [batch, length], in range, padded with 0 at the end. A row of
                padding gives zeros.
        """
        present = input_ids != PADDING_ID
        places = torch.arange(input_ids.shape[1]).clamp(max=self.positions.num_embeddings - 1)
        vectors = self.dropout(self.norm(self.words(input_ids) + self.positions(places)))
        # Not minus infinity: a row of padding would give NaN.
        bias = torch.where(present, 0.0, -1e9)[:, None, None, :]
        for layer in self.layers:
            vectors = layer(vectors, bias)
        weights = present.to(torch.float32).unsqueeze(1)
        summed = torch.bmm(weights, vectors).squeeze(1)
        mean: Tensor = summed / weights.sum(dim=2).clamp(min=1.0)
        return mean


class _Layer(nn.Module):
    """Attention and two dense layers, each added to its input and normalized."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.query = nn.Linear(shape.width, shape.width)
        self.key = nn.Linear(shape.width, shape.width)
        self.value = nn.Linear(shape.width, shape.width)
        self.attended = nn.Linear(shape.width, shape.width)
        self.attended_norm = nn.LayerNorm(shape.width, eps=_NORM_EPSILON)
        self.inner = nn.Linear(shape.width, shape.inner)
        self.outer = nn.Linear(shape.inner, shape.width)
        self.outer_norm = nn.LayerNorm(shape.width, eps=_NORM_EPSILON)
        self.dropout = nn.Dropout(shape.encoder_dropout)

    def forward(self, vectors: Tensor, bias: Tensor) -> Tensor:
        """Return the vectors of the next layer: float32 [batch, length, width]."""
        query, key, value = (
            self._split(part(vectors)) for part in (self.query, self.key, self.value)
        )
        found = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        joined = found.transpose(1, 2).flatten(2)
        vectors = self.attended_norm(vectors + self.dropout(self.attended(joined)))
        inner = functional.gelu(self.inner(vectors))
        normed: Tensor = self.outer_norm(vectors + self.dropout(self.outer(inner)))
        return normed

    def _split(self, vectors: Tensor) -> Tensor:
        """Return [batch, heads, length, width / heads]."""
        batch, length, width = vectors.shape
        return vectors.view(batch, length, self.heads, width // self.heads).transpose(1, 2)
