"""Which side of the split a text is on: its own hash decides, for ever.

A text that was once held out can so never enter training through a second source, a
correction or a later dataset version.
"""

import hashlib
import unicodedata
from enum import StrEnum

BUCKETS = 10_000
TEST_BUCKETS = 700
VALIDATION_BUCKETS = 300


class Split(StrEnum):
    """The use that an example may be put to."""

    TRAIN = "train"
    VALIDATION = "validation"
    """Early stopping and calibration, 3 %."""
    TEST = "test"
    """The hold-out that gates judge on, 7 %."""


def normalise(text: str) -> str:
    """The form under which two texts count as the same: NFKC, case-folded, single-spaced."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def content_hash(text: str) -> str:
    """SHA-256 of the normalised text, in hex."""
    return hashlib.sha256(normalise(text).encode()).hexdigest()


def split_of(text_hash: str) -> Split:
    """The split of a text, from its `content_hash`."""
    bucket = int(text_hash[:16], 16) % BUCKETS
    if bucket < TEST_BUCKETS:
        return Split.TEST
    if bucket < TEST_BUCKETS + VALIDATION_BUCKETS:
        return Split.VALIDATION
    return Split.TRAIN
