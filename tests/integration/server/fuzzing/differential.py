"""The same bytes to a front on each transport, and a comparison of what they say."""

import asyncio
import gzip
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from bench.serving.messages import messages as split
from tests.integration.server.fuzzing.exchange import Exchange, Pairs, Reply, ask
from tests.integration.server.fuzzing.faults import FAULTS, LENIENT
from tests.integration.server.fuzzing.messages import METHODS, Dictionary, messages
from tidemill.v1 import prediction_service_pb2 as pb

_READ_ONLY = ("Get", "List", "Diff", "Server", "Model")
"""How the names of methods begin that change nothing, so that both fronts have the same state."""
_PREDICTING = ("Predict", "BatchPredict", "StreamPredict")
COMPARED = tuple(
    method
    for method in METHODS
    if (method.name.startswith(_READ_ONLY) or method.name in _PREDICTING)
    and method.name != "ModelStatistics"  # its answer has times
)
_MOST_BYTES = 60_000
"""Of a body: callers may send no more before the server grows the window."""
_AT_ONCE = 8


@dataclass(frozen=True)
class Case:
    """A call to both fronts.

    Attributes:
        method: that is called.
        fault: what is wrong with its transport; "" if nothing is.
        exchange: what is sent.
    """

    method: MethodDescriptor
    fault: str
    exchange: Exchange


@dataclass
class Comparison:
    """What both fronts said.

    Attributes:
        cases: number of calls to each.
        accepted: how many of them succeeded.
        manners: (fault, how the front on grpcio ended the call, how that on h2corn did).
        problems: where they differ in what a caller notices.
    """

    cases: int = 0
    accepted: int = 0
    manners: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def add(self, case: Case, first: Reply, second: Reply) -> None:
        """Compare two answers."""
        self.cases += 1
        self.accepted += first.accepted
        self.manners[case.fault, _said(first), _said(second)] += 1
        if difference := _difference(case, first, second):
            shown = replace(case.exchange, body=case.exchange.body[:200])
            self.problems.append(f"{difference}\n    {case.fault!r} {shown}")


def _said(reply: Reply) -> str:
    return f"status {reply.code} {reply.reason}" if reply.code is not None else reply.manner


def _difference(case: Case, first: Reply, second: Reply) -> str:
    """Return how two answers differ; "" if they do not."""
    if "silence" in (first.manner, second.manner):
        return f"no end: {_said(first)}, {_said(second)}"
    if case.fault and not second.accepted:
        if not first.accepted or case.fault in LENIENT:
            return ""  # each refuses what is no gRPC in its own way
        return f"only grpcio accepts it: {_said(second)}"
    if (first.code, first.reason) != (second.code, second.reason):
        return f"{_said(first)} is not {_said(second)}"
    if _shown(case.method, first.body) != _shown(case.method, second.body):
        return f"the answers differ: {first.body!r} and {second.body!r}"
    return ""


def _shown(method: MethodDescriptor, body: bytes) -> list[Any]:
    """Return the messages of a body without what differs from call to call."""
    answers = []
    for message in split(body):
        answer = GetMessageClass(method.output_type).FromString(message)
        for item in (answer, *getattr(answer, "results", ())):
            if "error" in item.DESCRIPTOR.fields_by_name:
                # Of two violations in a map, protobuf's order decides which is named.
                item.error.ClearField("message")
                item.error.ClearField("details")
        for prediction in _predictions(answer):
            prediction.ClearField("prediction_id")
            for score in prediction.scores:
                score.score = round(score.score, 4)
            prediction.confidence = round(prediction.confidence, 4)
        inferred = getattr(answer, "infer_response", answer)
        if contents := getattr(inferred, "raw_output_contents", ()):
            arrays = [np.frombuffer(each, "<f4").round(3) for each in contents]
            # A row without tokens is NaN, which is unequal to itself.
            answers.append([np.nan_to_num(array, nan=-1).tolist() for array in arrays])
            inferred.ClearField("raw_output_contents")
        answers.append(answer)
    return answers


def _predictions(answer: Any) -> list[Any]:
    found = [answer] if "prediction" in answer.DESCRIPTOR.fields_by_name else []
    found += list(getattr(answer, "results", ()))
    return [each.prediction for each in found if each.HasField("prediction")]


def compare(
    addresses: tuple[str, str],
    dictionary: Dictionary,
    count: int,
    number: int,
    metadata: Pairs = (),
) -> Comparison:
    """Send the same bytes to two fronts over one workspace.

    Args:
        addresses: of a front on grpcio, and of one on h2corn.
        dictionary: values that mean something to them.
        count: number of calls.
        number: a seed; the same one makes the same calls.
        metadata: of each call.
    """
    found = Comparison()
    with asyncio.Runner() as runner:

        def ask_all(cases: Sequence[Case]) -> None:
            for case, replies in zip(cases, runner.run(_both(addresses, cases)), strict=True):
                found.add(case, *replies)

        @seed(number)
        @settings(
            max_examples=-(-count // _AT_ONCE),
            phases=[Phase.generate],
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.lists(_cases(dictionary, metadata), min_size=_AT_ONCE, max_size=_AT_ONCE))
        def bundle(cases: Sequence[Case]) -> None:
            ask_all(cases)

        ask_all([_plain(fault, metadata) for fault in ("", *FAULTS)])
        bundle()
    return found


def _plain(fault: str, metadata: Pairs) -> Case:
    """Return a call of Predict in which nothing but this fault is wrong."""
    predict = next(method for method in METHODS if method.name == "Predict")
    request = pb.PredictRequest(task="support", text="lost my card")
    return _case(predict, [request.SerializeToString()], fault, "", False, (), metadata)


async def _both(addresses: tuple[str, str], cases: Sequence[Case]) -> list[tuple[Reply, Reply]]:
    asked = [asyncio.gather(*(ask(each, case.exchange) for each in addresses)) for case in cases]
    return [(first, second) for first, second in await asyncio.gather(*asked)]


def _cases(dictionary: Dictionary, metadata: Pairs) -> st.SearchStrategy[Case]:
    return (
        st.sampled_from(COMPARED)
        .flatmap(lambda method: _of(method, dictionary, metadata))
        .filter(lambda case: len(case.exchange.body) <= _MOST_BYTES)
    )


def _of(
    method: MethodDescriptor, dictionary: Dictionary, metadata: Pairs
) -> st.SearchStrategy[Case]:
    most = 4 if method.client_streaming else 1
    return st.builds(
        _case,
        st.just(method),
        st.lists(messages(method, dictionary), min_size=1, max_size=most),
        st.just("") | st.sampled_from(tuple(FAULTS)),
        st.sampled_from(("", "9S", "9000m", "9000000u")),
        st.booleans(),
        st.lists(st.floats(0, 1), max_size=4).map(tuple),
        st.just(metadata),
    )


def _case(
    method: MethodDescriptor,
    sent: Sequence[bytes],
    fault: str,
    timeout: str,
    compressed: bool,
    cuts: tuple[float, ...],
    metadata: Pairs,
) -> Case:
    headers = [(":method", "POST"), (":scheme", "http")]
    headers += [(":path", f"/{method.containing_service.full_name}/{method.name}")]
    headers += [(":authority", "localhost"), ("te", "trailers")]
    headers += [("content-type", "application/grpc"), *metadata]
    headers += [("grpc-timeout", timeout)] if timeout else []
    headers += [("grpc-encoding", "gzip")] if compressed else []
    contents = [gzip.compress(message) if compressed else message for message in sent]
    body = b"".join(bytes((compressed,)) + len(each).to_bytes(4, "big") + each for each in contents)
    exchange = Exchange(tuple(headers), body, cuts)
    return Case(method, fault, FAULTS[fault](exchange) if fault else exchange)
