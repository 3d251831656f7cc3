"""Text encoding."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from tidemill_core.errors import DataError
from tidemill_core.text import UNKNOWN_TOKEN, TextEncoder, is_blank


def tokenizer_json() -> str:
    """Return a tokenizer with four tokens."""
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "card": 2, "##s": 3}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=UNKNOWN_TOKEN))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.BertNormalizer(strip_accents=True, lowercase=True)]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer.to_str()


ENCODER = TextEncoder(tokenizer_json(), 4)


def test_pads_and_truncates_to_the_sequence_length() -> None:
    """Short texts are padded with 0, long texts are cut, and an empty text is all padding."""
    encoded = ENCODER.encode(["Cards", "card " * 9, ""])
    assert encoded.dtype == np.int32
    assert encoded.tolist() == [[2, 3, 0, 0], [2, 2, 2, 2], [0, 0, 0, 0]]


@pytest.mark.parametrize("text", ["", " ", "\t\n", "\u00a0\u2003", "\u200b\u200d", "\ufeff \u2060"])
def test_a_text_in_which_nothing_can_be_seen_is_blank(text: str) -> None:
    """Texts of spaces and invisible characters are blank."""
    assert is_blank(text)


@pytest.mark.parametrize("text", ["a", " a ", "\u200ba", "?", "\U0001f44d", "\U0001fae8", "\ue000"])
def test_a_text_with_anything_to_see_is_not_blank(text: str) -> None:
    """A text with a visible character, even one newer than this Python's Unicode, is not blank."""
    assert not is_blank(text)


def test_no_texts_make_no_rows() -> None:
    """An empty batch has the right width."""
    assert ENCODER.encode([]).shape == (0, 4)


def test_a_file_encodes_as_its_content_does(tmp_path: Path) -> None:
    """A path and the JSON itself give equal encoders."""
    path = tmp_path / "tokenizer.json"
    path.write_text(tokenizer_json(), encoding="utf-8")
    assert (TextEncoder(path, 4).encode(["cards"]) == ENCODER.encode(["cards"])).all()


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"\xff\xfe", None])
def test_a_file_that_is_no_tokenizer_is_named(tmp_path: Path, content: bytes | None) -> None:
    """An empty, truncated, foreign, undecodable or missing file is a DataError with its path."""
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=str(path)) as refused:
        TextEncoder(path, 4)
    assert refused.value.reason == "TOKENIZER_DAMAGED"


def test_refuses_a_length_of_nothing() -> None:
    """A row has at least one token."""
    with pytest.raises(ValueError, match="must be positive"):
        TextEncoder(tokenizer_json(), 0)


@given(st.lists(st.text(), max_size=5))
def test_any_text_without_lone_surrogates_is_encoded(texts: list[str]) -> None:
    """For all characters, rows have the fixed length and ids are in the vocabulary's range."""
    encoded = ENCODER.encode(texts)
    assert encoded.shape == (len(texts), 4)
    assert ((encoded >= 0) & (encoded < 4)).all()


@pytest.mark.parametrize("text", ["\0", "a\0b", "\x1b[31m", "😀", "x", "[PAD]", "á" * 9000])
def test_awkward_texts_are_encoded(text: str) -> None:
    """NUL, control characters, emoji, single characters and special tokens are encoded."""
    assert ENCODER.encode([text]).shape == (1, 4)


def test_a_tokenizers_own_special_tokens_and_padding() -> None:
    """They frame each text, within the row's length, and fill the rows."""
    tokenizer = Tokenizer(models.WordLevel({"<s>": 0, "<pad>": 1, "</s>": 2, "a": 3}, "<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    framed = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.post_processor = framed
    tokenizer.enable_padding(pad_id=1)
    encoder = TextEncoder(tokenizer.to_str(), 5)
    assert encoder.encode(["a", "a a a a a"]).tolist() == [[0, 3, 2, 1, 1], [0, 3, 3, 3, 2]]
