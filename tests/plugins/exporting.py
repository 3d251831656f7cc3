"""Exports to ONNX in half the time: a process makes torch's table of operators once."""

from collections.abc import Iterator
from functools import cache

import pytest


@pytest.fixture(scope="session", autouse=True)
def one_operator_table() -> Iterator[None]:
    """Share one table between all exports, each of which would parse the sources of 500 functions.

    No export changes the table, unless it brings operators of its own; ours does not.
    """
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            ONNXRegistry, "from_torchlib", staticmethod(cache(ONNXRegistry.from_torchlib))
        )
        yield
