"""What the log says about one of several Tritons that goes away and comes back."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.plugins.fake_triton import FakeTriton
from tests.plugins.waiting import until
from tidemill_core.errors import TritonUnavailable
from tidemill_core.triton.client import TritonClient


async def test_one_that_a_call_finds_away_is_logged(token_ids: Any) -> None:
    """Each Triton that is away is logged, also if a call noticed it before the next probe."""
    with FakeTriton() as one, FakeTriton() as other, capture_logs() as logs:
        target = f"{one.address},{other.address}"
        client = TritonClient(target)
        await client.infer("support-onnx", 1, token_ids(1), 10)
        for each in (one, other):
            each.__exit__()
        with pytest.raises(TritonUnavailable):
            await client.infer("support-onnx", 1, token_ids(1), 10)

        def away() -> set[str]:
            return {log["address"] for log in logs if log["event"] == "triton_away"}

        await until(lambda: away() == {one.address, other.address}, "both are logged")
        await client.close()
