"""The training of a word-piece tokenizer."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from tidemill_core.text import PADDING_TOKEN, UNKNOWN_TOKEN

VOCABULARY_LIMIT = 8192
"""The most pieces to keep, besides the alphabet."""
ALPHABET_LIMIT = 1000
MIN_FREQUENCY = 2
CONTINUATION = "##"
SHORTEST_SEQUENCE, LONGEST_SEQUENCE = 16, 128
_SEQUENCE_STEP = 8
_SEQUENCE_PERCENTILE = 99.9
_ROWS_AT_ONCE = 10_000


def train_tokenizer(texts: Sequence[str]) -> Tokenizer:
    """Train a tokenizer; the same texts give the same tokenizer.

    The library numbers the inner-word characters in the order of a randomly seeded hash map, and
    breaks ties between merges by those numbers. To fix their order, they are passed as special
    tokens, and the vocabulary is then moved to a tokenizer without special tokens.

    Args:
        texts: training texts, at least one.

    Returns:
        A tokenizer with the ids 0 for padding and 1 for unknown pieces. It normalizes texts (NFKC,
        lower case, without control characters and accents), and splits them at whitespace,
        punctuation and between CJK characters.
    """
    learner = _empty({})
    alphabet = _alphabet(learner, texts)
    reserved = [PADDING_TOKEN, UNKNOWN_TOKEN, *(CONTINUATION + letter for letter in alphabet)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=VOCABULARY_LIMIT + len(alphabet),
        min_frequency=MIN_FREQUENCY,
        show_progress=False,
        special_tokens=reserved,
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        continuing_subword_prefix=CONTINUATION,
    )
    learner.train_from_iterator(texts, trainer)
    return _empty(learner.get_vocab(with_added_tokens=True))


def pieces(tokenizer: Tokenizer) -> list[str]:
    """Return the vocabulary in the order of its ids."""
    vocabulary = tokenizer.get_vocab()
    return sorted(vocabulary, key=vocabulary.__getitem__)


def sequence_length(tokenizer: Tokenizer, texts: Sequence[str]) -> int:
    """Return a length, within limits, that holds all but the longest thousandth of the texts."""
    counts = [
        len(encoding.ids)
        for start in range(0, len(texts), _ROWS_AT_ONCE)
        for encoding in tokenizer.encode_batch_fast(list(texts[start : start + _ROWS_AT_ONCE]))
    ]
    wanted = np.percentile(counts, _SEQUENCE_PERCENTILE)
    rounded = int(np.ceil(wanted / _SEQUENCE_STEP)) * _SEQUENCE_STEP
    return min(max(rounded, SHORTEST_SEQUENCE), LONGEST_SEQUENCE)


def _empty(vocabulary: dict[str, int]) -> Tokenizer:
    model = models.WordPiece(
        vocabulary, unk_token=UNKNOWN_TOKEN, continuing_subword_prefix=CONTINUATION
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.BertNormalizer(strip_accents=True, lowercase=True)]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def _alphabet(tokenizer: Tokenizer, texts: Sequence[str]) -> list[str]:
    """Return the most common characters of the normalized texts, sorted."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(tokenizer.normalizer.normalize_str(text))
    ranked = sorted(counts, key=lambda letter: (-counts[letter], letter))
    return sorted(letter for letter in ranked[:ALPHABET_LIMIT] if not letter.isspace())
