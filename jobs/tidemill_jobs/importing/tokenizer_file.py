"""The tokenizer of an imported model."""

from dataclasses import dataclass

from tokenizers import Tokenizer

from tidemill_jobs.importing.foreign_model import Vocabulary
from tidemill_jobs.importing.refusal import ModelRefused

_PADDING_TOKENS = ("[PAD]", "<pad>", "<|pad|>", "<|padding|>")


@dataclass(frozen=True)
class TokenizerFile:
    """A tokenizer, and the ids that it gives; its own settings name the padding id."""

    tokenizer: Tokenizer
    vocabulary: Vocabulary


def read_tokenizer(content: bytes, padding_id: int | None) -> TokenizerFile:
    """Read a tokenizer.json.

    Args:
        content: the file's.
        padding_id: the model's padding id, if its labels file names it. Otherwise it is that of the
            tokenizer's settings, or that of a token with a usual name.

    Raises:
        ModelRefused: it is no tokenizer, or has no padding token.
    """
    expected = "the tokenizer.json that `tokenizer.save_pretrained` writes for a fast tokenizer"
    try:
        tokenizer = Tokenizer.from_str(content.decode())
    except UnicodeError as error:
        raise ModelRefused("the tokenizer is not a file of UTF-8 text", expected) from error
    except Exception as error:  # the library raises no class of its own
        reason = str(error)[:200]
        raise ModelRefused(f"the tokenizer cannot be read: {reason}", expected) from error
    size = max(tokenizer.get_vocab().values(), default=-1) + 1
    found = _padding_id(tokenizer) if padding_id is None else padding_id
    if found is None:
        raise ModelRefused(
            "the tokenizer names no padding token, and the labels file has no pad_token_id",
            f"one of {', '.join(_PADDING_TOKENS)}, or the model's config.json as the labels file",
        )
    if not 0 <= found < size:
        raise ModelRefused(f"the padding id is {found}", f"a token id from 0 to {size - 1}")
    tokenizer.no_truncation()
    tokenizer.enable_padding(pad_id=found, pad_token=tokenizer.id_to_token(found) or "")
    return TokenizerFile(tokenizer, Vocabulary(size, found))


def _padding_id(tokenizer: Tokenizer) -> int | None:
    if tokenizer.padding is not None:
        number: int = tokenizer.padding["pad_id"]
        return number
    ids = (tokenizer.token_to_id(token) for token in _PADDING_TOKENS)
    return next((number for number in ids if number is not None), None)
