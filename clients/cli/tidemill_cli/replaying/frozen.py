"""The answers of the first version, as if no other had ever followed it."""

import asyncio
from collections.abc import Sequence

from tidemill_core.model_repository import ModelRepository
from tidemill_core.settings import Settings
from tidemill_core.triton.client import TritonClient

_FIRST = 1
_ROWS_A_CALL = 64
_CALL_SECONDS = 60.0


def frozen_labels(settings: Settings, task: str, texts: Sequence[str]) -> list[str]:
    """Return the first version's label for each text.

    It asks Triton while that version is loaded, and past the server, so that nothing is logged.

    Raises:
        TidemillError: the version's files cannot be read, or Triton does not answer.
    """
    repository = ModelRepository.of(settings)
    place = (task, settings.tasks[task].format, _FIRST)
    labels, encoder = repository.manifest(*place).labels, repository.encoder(*place)
    model = f"{task}-{settings.tasks[task].format}"

    async def ask() -> list[str]:
        triton = TritonClient(settings.triton_target)
        found: list[str] = []
        try:
            for start in range(0, len(texts), _ROWS_A_CALL):
                ids = encoder.encode(texts[start : start + _ROWS_A_CALL])
                answers = await triton.infer(model, _FIRST, ids, _CALL_SECONDS)
                found += [labels[best] for best in answers.argmax(axis=1)]
        finally:
            await triton.close()
        return found

    return asyncio.run(ask())
