"""Learns a word-piece vocabulary from the training texts."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from tidemill_core.text import PADDING_TOKEN, UNKNOWN_TOKEN

VOCABULARY_LIMIT = 8192
ALPHABET_LIMIT = 1000
MIN_FREQUENCY = 2
CONTINUATION = "##"
SHORTEST_SEQUENCE, LONGEST_SEQUENCE = 16, 128
_SEQUENCE_STEP = 8
_SEQUENCE_PERCENTILE = 99.9


def train_tokenizer(texts: Sequence[str], vocabulary_limit: int = VOCABULARY_LIMIT) -> Tokenizer:
    """Trains a tokenizer; the same texts give the same tokenizer.

    The library numbers the inner-word characters in the order of a randomly seeded hash
    map and breaks ties between merges by those numbers. So they are given to it in a fixed
    order, as special tokens, and the vocabulary is then moved to a tokenizer without them.

    Args:
        texts: training texts, at least one.
        vocabulary_limit: most pieces to keep, beyond the alphabet.

    Returns:
        A tokenizer with ids 0 for padding and 1 for what is unknown. Texts are normalised
        (NFKC, control characters dropped, lower case, accents stripped) and split at white
        space, punctuation and between CJK characters.
    """
    learner = _empty({})
    alphabet = _alphabet(learner, texts)
    reserved = [PADDING_TOKEN, UNKNOWN_TOKEN, *(CONTINUATION + letter for letter in alphabet)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary_limit + len(alphabet),
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
    """The vocabulary in the order of its ids."""
    vocabulary = tokenizer.get_vocab()
    return sorted(vocabulary, key=vocabulary.__getitem__)


def sequence_length(tokenizer: Tokenizer, texts: Sequence[str]) -> int:
    """Room for all but the longest thousandth of the texts, within limits."""
    counts = [len(encoding.ids) for encoding in tokenizer.encode_batch_fast(list(texts))]
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
    """The commonest characters once normalised, sorted."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(tokenizer.normalizer.normalize_str(text))
    ranked = sorted(counts, key=lambda letter: (-counts[letter], letter))
    return sorted(letter for letter in ranked[:ALPHABET_LIMIT] if not letter.isspace())
