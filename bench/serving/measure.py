"""The measurements: a round measures all systems in turn, so that slow minutes affect all."""

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import grpc
from rich.console import Console

from bench.serving import callers, messages
from bench.serving.callers import Called
from bench.serving.environments import python_of
from bench.serving.load import Load, h2load, wrk
from bench.serving.peer import ALL, running_peer
from bench.serving.workspace import TASK, Stack, Workspace, running_stack
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill.v1.prediction_service_pb2_grpc import PredictionServiceStub

IN_FLIGHT = 64
OVERLOAD_CALLERS = 192
SHARE_OF_MAXIMUM = 0.7
FLOOD = 3.0
PROCESSES = (1, 2)
SYSTEMS = ("tidemill", "triton", *ALL)
_CONNECTIONS = _STREAMS = 4  # times the generators, that is IN_FLIGHT
_WARM_UP_SECONDS = 2
_LOG_TOLERANCE = 0.01


@dataclass(frozen=True)
class Sample:
    """One measurement.

    Attributes:
        system: one of `SYSTEMS`.
        processes: number of its processes; 0 if there is no choice.
        kind: the kind of load.
        found: the result.
    """

    system: str
    processes: int
    kind: str
    found: Load | Called


@dataclass(frozen=True)
class Bench:
    """The inputs of a round.

    Attributes:
        workspace: a workspace with trained models.
        systems: the systems to measure.
        seconds: length of each measurement, whole seconds.
        console: for progress.
    """

    workspace: Workspace
    systems: Collection[str]
    seconds: int
    console: Console

    def round(self, label: str) -> Iterator[Sample]:
        """Measure each system once with each number of processes.

        Args:
            label: the model's label of the first chosen text.
        """
        for processes in PROCESSES:
            if {"tidemill", "triton"} & set(self.systems):
                with running_stack(self.workspace, processes) as stack:
                    yield from self._stack(stack, processes)
            for name in ALL:
                if name in self.systems:
                    yield self._show(
                        Sample(name, processes, "unary", self._peer(name, processes, label))
                    )

    def _peer(self, name: str, processes: int, label: str) -> Load:
        peer, texts = ALL[name], messages.example_texts()
        python = python_of(peer.environment, self.console)
        question = messages.chosen_texts()[0]
        bodies = [json.dumps(peer.body(text)) for text in texts]
        with running_peer(peer, python, processes, self.workspace, question, label) as url:
            wrk(url, bodies, IN_FLIGHT, _WARM_UP_SECONDS)
            return wrk(url, bodies, IN_FLIGHT, self.seconds)

    def _stack(self, stack: Stack, processes: int) -> Iterator[Sample]:
        if "triton" in self.systems:
            prepared = messages.triton(stack, self.workspace)
            ask = _Asking(stack.triton_address, (), _WARM_UP_SECONDS)
            ask.many(prepared)
            ask = _Asking(stack.triton_address, (), self.seconds)
            yield self._show(Sample("triton", 0, "unary", ask.many(prepared)))
            yield self._show(Sample("triton", 0, "one caller", ask.one(prepared)))
        if "tidemill" in self.systems:
            yield from map(self._show, self._tidemill(stack, processes))

    def _tidemill(self, stack: Stack, processes: int) -> Iterator[Sample]:
        unary, batches = messages.unary(stack), messages.batches(stack)
        streams = messages.streams(stack)
        _Asking(stack.grpc_address, stack.metadata, _WARM_UP_SECONDS).many(unary)
        ask = _Asking(stack.grpc_address, stack.metadata, self.seconds)
        many = self._logged(lambda: ask.many(unary))
        yield Sample("tidemill", processes, "unary", many)
        loads = {
            "stream": lambda: ask.singly(streams),
            "batch": lambda: ask.singly(batches),
            "one caller": lambda: ask.one(unary),
        }
        for kind, load in loads.items():
            yield Sample("tidemill", processes, kind, self._logged(load))
        for kind, number in (("closed 64", IN_FLIGHT), ("closed 192", OVERLOAD_CALLERS)):
            called = callers.closed_loop(stack, unary, number, self.seconds)
            yield Sample("tidemill", processes, kind, called)
        for kind, share in (("open 70 %", SHARE_OF_MAXIMUM), ("flood", FLOOD)):
            rate = share * many.rows_per_second
            called = callers.open_loop(stack, unary, rate, self.seconds)
            yield Sample("tidemill", processes, kind, called)
        self.workspace.logged_rows()  # wait until the log is written

    def _logged(self, load: Callable[[], Load]) -> Load:
        """Measure, and check that the log has as many predictions as there were answers.

        Raises:
            RuntimeError: the log has fewer.
        """
        before = self.workspace.logged_rows()
        found = load()
        logged = self.workspace.logged_rows() - before
        answered = found.rows_per_second * self.seconds
        if logged < answered * (1 - _LOG_TOLERANCE):
            raise RuntimeError(f"{answered:.0f} answers, but {logged} predictions in the log")
        return found

    def _show(self, sample: Sample) -> Sample:
        found = sample.found
        rate = found.rows_per_second if isinstance(found, Load) else found.answered_per_second
        name = f"{sample.system} {sample.kind}"
        self.console.print(
            f"  {name:32} {sample.processes or '':>2}  {rate:>9,.0f}/s  p99 {found.p99_ms:.1f} ms"
        )
        return sample


@dataclass(frozen=True)
class _Asking:
    """h2load with the kinds of callers that are compared.

    Attributes:
        address: host:port.
        metadata: the metadata of each call.
        seconds: duration.
    """

    address: str
    metadata: tuple[tuple[str, str], ...]
    seconds: int

    def many(self, prepared: list[messages.Prepared]) -> Load:
        """Keep 64 calls in flight on 16 connections."""
        return h2load(self.address, prepared, self.seconds, self.metadata, _CONNECTIONS, _STREAMS)

    def singly(self, prepared: list[messages.Prepared]) -> Load:
        """Keep one call in flight per generator."""
        return h2load(self.address, prepared, self.seconds, self.metadata)

    def one(self, prepared: list[messages.Prepared]) -> Load:
        """Keep one call in flight."""
        return h2load(self.address, prepared[:1], self.seconds, self.metadata)


def expected_label(workspace: Workspace) -> str:
    """Return the model's label of the first chosen text; train the models if there are none."""
    with running_stack(workspace, 1) as stack, grpc.insecure_channel(stack.grpc_address) as channel:
        request = pb.PredictRequest(task=TASK, text=messages.chosen_texts()[0])
        answer = PredictionServiceStub(channel).Predict(request, metadata=stack.metadata)
    return str(answer.prediction.label)
