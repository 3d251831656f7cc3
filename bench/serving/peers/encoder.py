"""The peers' shared code: text to ids and probabilities to labels, without Tidemill."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
from tokenizers import Tokenizer

FOLDER = Path(os.environ["MODEL_FOLDER"])
PROCESSES = int(os.environ["PROCESSES"])
BATCH = 64
BATCH_WAIT_SECONDS = 0.005


class Encoder:
    """Turns texts into rows of ids, int32 [texts, length], and probabilities into answers."""

    def __init__(self) -> None:
        manifest = json.loads((FOLDER / "manifest.json").read_text())
        self._labels = manifest["labels"]
        length = manifest["sequence_length"]
        self._tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
        self._tokenizer.enable_truncation(length)
        self._tokenizer.enable_padding(length=length, pad_id=0, pad_token="[PAD]")  # noqa: S106 -- a token of texts

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return token ids."""
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return np.array([encoding.ids for encoding in encodings], dtype=np.int32)

    def answers(self, probabilities: np.ndarray) -> list[dict]:
        """Return the most probable label of each row, and its probability."""
        best = probabilities.argmax(axis=1)
        return [
            {"label": self._labels[label], "confidence": float(row[label])}
            for label, row in zip(best, probabilities, strict=True)
        ]
