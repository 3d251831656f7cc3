"""The tokenizer's training."""

import subprocess
import sys

from tidemill_jobs.training.tokenizer import pieces, train_tokenizer

TEXTS = ["Überweisung fehlt", "the card's transfer failed", "cards & transfers", "卡片"] * 5


def test_special_pieces_come_first_and_text_is_normalised() -> None:
    """Ids 0 and 1 are padding and unknown; case and accents do not matter."""
    tokenizer = train_tokenizer(TEXTS)
    assert pieces(tokenizer)[:2] == ["[PAD]", "[UNK]"]
    assert tokenizer.encode("ÜBERWEISUNG").ids == tokenizer.encode("uberweisung").ids


def test_another_process_learns_the_same_tokenizer() -> None:
    """The tokenizer does not depend on the seed of a hash map."""
    program = (
        "from tidemill_jobs.training.tokenizer import train_tokenizer;"
        f"print(train_tokenizer({TEXTS!r}).to_str(), end='')"
    )
    other = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert other.stdout == train_tokenizer(TEXTS).to_str()


def test_blank_texts_make_an_empty_vocabulary() -> None:
    """Without anything to learn there are only the special pieces."""
    assert pieces(train_tokenizer(["", "  "])) == ["[PAD]", "[UNK]"]
