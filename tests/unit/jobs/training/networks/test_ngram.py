"""The n-gram network."""

import torch

from tidemill_jobs.training.classifier import Head, HeadShape
from tidemill_jobs.training.networks.ngram import NgramClassifier
from tidemill_jobs.training.ngrams import BagShape, NgramBag, spelling_buckets

VOCABULARY = ["[PAD]", "[UNK]", "##s", "card", "cards", "transfer"]


def network() -> NgramClassifier:
    """A small network in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return NgramClassifier(
            NgramBag(BagShape(buckets=64), spelling_buckets(VOCABULARY)), Head(HeadShape(), 128, 3)
        ).eval()


def test_folding_the_spelling_keeps_the_answers() -> None:
    """The sparse sum of training and the dense one of serving agree, with and without padding."""
    ids = torch.tensor([[3, 2, 5, 0, 0], [0, 0, 0, 0, 0], [1, 1, 4, 5, 3]])
    folded = network()
    before = folded(ids)
    folded.fold()
    assert torch.allclose(before, folded(ids), atol=1e-5)


def test_padding_changes_nothing() -> None:
    """More padding does not change the logits."""
    short, long = torch.tensor([[3, 5]]), torch.tensor([[3, 5, 0, 0]])
    assert torch.allclose(network()(short), network()(long), atol=1e-6)


def test_word_order_matters() -> None:
    """The order of words matters, because of bigrams."""
    logits = network()(torch.tensor([[3, 5], [5, 3]]))
    assert not torch.allclose(logits[0], logits[1])


def test_related_spellings_share_buckets() -> None:
    """`card` and `cards` share character n-grams; the special tokens have none."""
    buckets = spelling_buckets(VOCABULARY)
    assert not buckets[:2].any()
    assert set(buckets[3].tolist()) & set(buckets[4].tolist()) - {0}
