"""The split of a text. Its own hash decides, so the split never changes.

Therefore a held-out text never enters training through a second source, a correction or a later
dataset version.
"""

import hashlib
import unicodedata
from enum import StrEnum

BUCKETS = 10_000
TEST_BUCKETS = 700
VALIDATION_BUCKETS = 300


class Split(StrEnum):
    """The use of an example."""

    TRAIN = "train"
    VALIDATION = "validation"
    """Early stopping and calibration, 3 %."""
    TEST = "test"
    """The hold-out, on which gates judge, 7 %."""


def normalize(text: str) -> str:
    """Return a text NFKC-normalized, case-folded and single-spaced; equal texts share this form."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def content_hash(text: str) -> str:
    """Return the SHA-256 of the normalized text, in hex."""
    return hashlib.sha256(normalize(text).encode()).hexdigest()


def split_of(text_hash: str) -> Split:
    """Return the split of a text with this `content_hash`."""
    bucket = int(text_hash[:16], 16) % BUCKETS
    if bucket < TEST_BUCKETS:
        return Split.TEST
    if bucket < TEST_BUCKETS + VALIDATION_BUCKETS:
        return Split.VALIDATION
    return Split.TRAIN
