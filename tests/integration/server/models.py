"""Tiny real models that know a few words, and their answers without a server."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from tidemill_core.text import PADDING_TOKEN, UNKNOWN_TOKEN, TextEncoder

LABELS = ("billing", "card", "login", "transfer")
POISON = "poison"
"""A text with this word makes every model answer NaN."""
WORDS = ("refund", "card", "lost", "password", "money", "account", "fee", "my", "the", POISON)
LENGTH = 8
_WIDTH = 8

Array = npt.NDArray[np.float32]


def tokenizer_json() -> str:
    """Return a tokenizer with one token per word."""
    words = (PADDING_TOKEN, UNKNOWN_TOKEN, *WORDS)
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN_TOKEN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return str(tokenizer.to_str())


@dataclass(frozen=True)
class TinyModel:
    """Mean of embeddings, linear, softmax; each seed has weights of its own."""

    seed: int

    @cached_property
    def _table(self) -> Array:
        rows = len(WORDS) + 2
        table = np.random.default_rng(self.seed).normal(size=(rows, _WIDTH)).astype(np.float32)
        table[2 + WORDS.index(POISON)] = np.nan
        return table

    @cached_property
    def _weights(self) -> Array:
        random = np.random.default_rng(self.seed + 1000)
        return (8 * random.normal(size=(_WIDTH, len(LABELS)))).astype(np.float32)

    def offline(self, texts: Sequence[str]) -> Array:
        """Return probabilities, float32 [texts, labels], without Triton."""
        ids = TextEncoder(tokenizer_json(), LENGTH).encode(texts)
        scores = self._table[ids].mean(axis=1) @ self._weights
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)

    def onnx(self) -> bytes:
        """Return the content of model.onnx, which clamps ids like Tidemill's exports."""
        nodes = [
            helper.make_node("Clip", ["input_ids", "first", "last"], ["ids"]),
            helper.make_node("Gather", ["table", "ids"], ["rows"]),
            helper.make_node("ReduceMean", ["rows"], ["pooled"], axes=[1], keepdims=0),
            helper.make_node("MatMul", ["pooled", "weights"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["probabilities__0"], axis=1),
        ]
        integers, floats = TensorProto.INT32, TensorProto.FLOAT
        graph = helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("input_ids", integers, ["batch", "length"])],
            [helper.make_tensor_value_info("probabilities__0", floats, ["batch", "labels"])],
            [
                numpy_helper.from_array(self._table, "table"),
                numpy_helper.from_array(self._weights, "weights"),
                numpy_helper.from_array(np.array(0, np.int32), "first"),
                numpy_helper.from_array(np.array(len(self._table) - 1, np.int32), "last"),
            ],
        )
        opset = [helper.make_opsetid("", 17)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=8)
        return bytes(model.SerializeToString())
