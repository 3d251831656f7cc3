"""Text to token ids, by the same code in training and in serving."""

import json
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer
from tokenizers.models import Unigram

from tidemill_core.errors import DataError
from tidemill_core.text_repair import TextRepair

IS_BLANK, HAS_CONTROLS, IS_TOO_LONG = "BLANK_TEXT", "CONTROL_CHARACTERS", "TEXT_TOO_LONG"
"""The reasons with which a build quarantines a text, and serving refuses it."""

PADDING_ID = 0
"""The padding of Tidemill's own tokenizers."""
PADDING_TOKEN = "[PAD]"  # noqa: S105 - a piece of vocabulary, not a password
UNKNOWN_TOKEN = "[UNK]"  # noqa: S105 - a piece of vocabulary, not a password
# Separators, controls, formats such as the zero-width space, and surrogates. Unassigned code points
# count as visible: the newest emoji are unassigned in this Python's Unicode.
_INVISIBLE = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf", "Cs"})

CONTROL_CHARACTERS = "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\u009f]"
"""C0, DEL and C1 without tab, line feed and carriage return, which are whitespace in a text: a
regular expression for both Python's and Rust's engine."""
_CONTROL_CHARACTER = re.compile(CONTROL_CHARACTERS)


def control_character(text: str) -> str | None:
    """Return the first of `CONTROL_CHARACTERS` in a text; None if it has none."""
    if text.isprintable():  # the common case, in C
        return None
    found = _CONTROL_CHARACTER.search(text)
    return found[0] if found else None


def is_blank(text: str) -> bool:
    """Return whether a text has only separators and invisible characters."""
    # `isprintable` is fast, and true for almost every text.
    if text.isprintable():
        return not text or text.isspace()
    return all(unicodedata.category(character) in _INVISIBLE for character in text)


class TextEncoder:
    """Turns texts into rows of token ids of one fixed length.

    The tokenizer's native code normalizes and cuts. Any `str` that is valid Unicode is accepted; a
    text that is empty after normalizing becomes a row of padding. A tokenizer that has special
    tokens, such as [CLS], adds them; its own padding id, if it names one, fills the rows.
    """

    def __init__(
        self,
        tokenizer_json: Path | str,
        sequence_length: int,
        repair: TextRepair = TextRepair(),
    ) -> None:
        """Load a tokenizer.

        Args:
            tokenizer_json: a `Path` to a `tokenizer.json`, or its content as a string.
            sequence_length: tokens in a row; longer texts are cut, shorter ones are padded.
            repair: brings each text into the form of the model's training texts.

        Raises:
            ValueError: the length is not positive.
            DataError: the file is missing or is not a tokenizer.
        """
        if sequence_length < 1:
            raise ValueError(f"sequence_length must be positive, not {sequence_length}")
        self.sequence_length = sequence_length
        self._repair = repair
        self._tokenizer = _load(tokenizer_json)
        padding = self._tokenizer.padding
        self.padding_id: int = PADDING_ID if padding is None else padding["pad_id"]
        self._unknown_id = _unknown_id(self._tokenizer)
        self._tokenizer.enable_truncation(sequence_length)
        self._tokenizer.no_padding()  # ours in `encode` takes a fifth of its time

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.int32]:
        """Repair and encode a batch.

        Args:
            texts: n strings without lone surrogates.

        Returns:
            Ids, int32 of shape [n, sequence_length], padded with `padding_id`.

        Raises:
            UnicodeEncodeError: a text has a lone surrogate.
        """
        rows = np.full((len(texts), self.sequence_length), self.padding_id, dtype=np.int32)
        encodings = self._tokenizer.encode_batch_fast(list(map(self._repair, texts)))
        for row, encoding in zip(rows, encodings, strict=True):
            ids = encoding.ids
            row[: len(ids)] = ids
        return rows

    def count_pieces(self, rows: npt.NDArray[np.int32]) -> tuple[list[int], list[float]]:
        """Return the number of pieces of each encoded text, and the share that is unknown.

        Args:
            rows: what `encode` returned.
        """
        pieces = np.count_nonzero(rows != self.padding_id, axis=1)
        unknown = np.zeros(len(rows))
        if self._unknown_id is not None:
            unknown = np.count_nonzero(rows == self._unknown_id, axis=1) / np.maximum(pieces, 1)
        return pieces.tolist(), unknown.tolist()


def _unknown_id(tokenizer: Tokenizer) -> int | None:
    """Return the id of unknown pieces; None if the tokenizer has none."""
    if isinstance(tokenizer.model, Unigram):  # which shows its id in its file only
        unknown: int | None = json.loads(tokenizer.to_str())["model"]["unk_id"]
        return unknown
    token = getattr(tokenizer.model, "unk_token", None)
    return None if token is None else tokenizer.token_to_id(token)


def _load(tokenizer_json: Path | str) -> Tokenizer:
    try:
        if isinstance(tokenizer_json, Path):
            return Tokenizer.from_str(tokenizer_json.read_text(encoding="utf-8"))
        return Tokenizer.from_str(tokenizer_json)
    except Exception as error:  # the library raises no class of its own
        place = tokenizer_json if isinstance(tokenizer_json, Path) else "the tokenizer"
        message = f"{place} cannot be used: {error}"
        raise DataError("TOKENIZER_DAMAGED", message) from error
