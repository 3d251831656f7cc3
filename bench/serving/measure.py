"""The measurements: a round measures all systems in turn, so that slow minutes affect all."""

import json
import math
import statistics
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import grpc
from rich.console import Console

from bench.serving import kinds, messages
from bench.serving.callers import Crew, closed_loop
from bench.serving.echo import TRANSPORTS, echoed, running_echo
from bench.serving.environments import python_of
from bench.serving.load import Load, wrk
from bench.serving.peer import ALL, Peer, running_peer
from bench.serving.processes import FRONT, Processes, cpu_seconds, family, named
from bench.serving.raw import raw_batches
from bench.serving.workspace import TASK, Workspace, running_stack
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill.v1.prediction_service_pb2_grpc import PredictionServiceStub

PROCESSES = (1, 2)
TRITON, RAW = "triton", "raw"
TIDEMILL = {"tidemill": "h2corn", "tidemill-grpcio": "grpcio"}
"""The systems that are Tidemill's front, and their transports."""
DEFAULT = "tidemill"
"""The front with its default transport, which the figures are about."""
REST = "tidemill-rest"
"""The front's HTTP API, which the same tool calls as the peers."""
ECHO = {f"echo-{transport}": transport for transport in TRANSPORTS}
SYSTEMS = (TRITON, *TIDEMILL, REST, *ALL, RAW, *ECHO)
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
    found: Load


@dataclass
class Bench:
    """The inputs of all rounds, and their results so far.

    Attributes:
        workspace: a workspace with trained models.
        systems: the systems to measure.
        seconds: length of each measurement, whole seconds.
        console: for progress.
        label: the model's label of the example's first text.
        samples: the results.
    """

    workspace: Workspace
    systems: Collection[str]
    seconds: int
    console: Console
    label: str
    samples: list[Sample] = field(default_factory=list)

    def try_processes(self) -> None:
        """Measure each system with each number of processes, to find its better one."""
        for system in self.systems:
            if system == TRITON:
                continue
            for processes in PROCESSES:
                self._note(system, processes, self._measured(system, processes, False))

    def round(self) -> None:
        """Measure each system once, with the number of processes that answered more."""
        for system in self.systems:
            processes = better(self.samples, system)
            self._note(system, processes, self._measured(system, processes, True))

    def _note(self, system: str, processes: int, found: Iterator[tuple[str, Load]]) -> None:
        for kind, load in found:
            self.samples.append(Sample(system, processes, kind, load))
            self.console.print(
                f"  {system:20} {processes or '':>2}  {kind:24}  {load.rows_per_second:>9,.0f}/s"
                f"  p50 {load.p50_ms:.2f}  p99 {load.p99_ms:.1f} ms"
            )

    def _measured(self, system: str, processes: int, whole: bool) -> Iterator[tuple[str, Load]]:
        """Measure 64 calls in flight, and everything else of the system if `whole`."""
        if system in ALL:
            return self._peer(ALL[system], processes, whole)
        if system in TIDEMILL:
            return self._tidemill(TIDEMILL[system], processes, whole, system == DEFAULT)
        if system == REST:
            return self._rest(processes, whole)
        if system in ECHO:
            return self._echo(ECHO[system], processes, whole)
        return self._triton() if system == TRITON else self._raw(processes)

    def _raw(self, processes: int) -> Iterator[tuple[str, Load]]:
        yield kinds.BATCHES, raw_batches(self.workspace, processes, self.seconds, self.console)

    def _peer(self, peer: Peer, processes: int, whole: bool) -> Iterator[tuple[str, Load]]:
        texts = messages.distinct_texts()
        python = python_of(peer.environment, self.console)
        bodies = [json.dumps(peer.body(text)) for text in texts]
        with running_peer(peer, python, processes, self.workspace, texts[0], self.label) as (
            url,
            pid,
        ):
            wrk(url, bodies[::-1], kinds.IN_FLIGHT, kinds.WARM_UP_SECONDS)
            load = partial(wrk, url, bodies, kinds.IN_FLIGHT, self.seconds)
            yield kinds.MANY, self._counted(family(pid), load)
            if whole:
                yield kinds.ONE, wrk(url, bodies, 1, self.seconds)

    def _rest(self, processes: int, whole: bool) -> Iterator[tuple[str, Load]]:
        bodies = [json.dumps({"text": text}) for text in messages.distinct_texts()]
        with running_stack(self.workspace, processes) as stack:
            url, headers = f"{stack.http_url}/v1/tasks/{TASK}:predict", stack.metadata
            wrk(url, bodies[::-1], kinds.IN_FLIGHT, kinds.WARM_UP_SECONDS, headers)
            load = partial(wrk, url, bodies, kinds.IN_FLIGHT, self.seconds, headers)
            yield kinds.MANY, self._logged(named(stack.pid)[FRONT], load)
            if whole:
                yield kinds.ONE, wrk(url, bodies, 1, self.seconds, headers)

    def _echo(self, transport: str, processes: int, whole: bool) -> Iterator[tuple[str, Load]]:
        with running_echo(transport, processes) as (address, servers):
            yield from self._plain(echoed(address, kinds.IN_FLIGHT), servers, whole)

    def _triton(self) -> Iterator[tuple[str, Load]]:
        with running_stack(self.workspace, 1) as stack:
            crew = messages.of_triton(stack, self.workspace, kinds.IN_FLIGHT)
            servers = named(stack.pid)
            yield from self._plain(crew, servers["Triton"] + servers["Triton's backend"], True)

    def _plain(self, crew: Crew, servers: Processes, whole: bool) -> Iterator[tuple[str, Load]]:
        closed_loop([crew], kinds.WARM_UP_SECONDS)
        yield kinds.MANY, self._counted(servers, lambda: closed_loop([crew], self.seconds)[0])
        if whole:
            yield kinds.ONE, closed_loop([replace(crew, callers=1)], self.seconds)[0]

    def _tidemill(
        self, transport: str, processes: int, whole: bool, default: bool
    ) -> Iterator[tuple[str, Load]]:
        environment = {"TIDEMILL_SERVER__TRANSPORT": transport}
        with running_stack(self.workspace, processes, environment) as stack:
            calls = messages.of_tidemill(stack)
            counted = partial(self._logged, named(stack.pid)[FRONT])
            many = kinds.unary(calls, self.seconds, counted)
            yield kinds.MANY, many
            if whole and default:
                yield from kinds.other_loads(calls, many.rows_per_second, self.seconds, counted)
            elif whole:
                yield kinds.ONE, closed_loop([calls.predict(1)], self.seconds)[0]

    def _counted(self, servers: Processes, load: Callable[[], Load]) -> Load:
        """Measure, and count the CPU time of the servers."""
        before = cpu_seconds(servers)
        found = load()
        spent = cpu_seconds(servers) - before
        answered = found.rows_per_second * self.seconds
        return replace(found, cpu_us=spent / answered * 1e6 if answered else math.nan)

    def _logged(self, servers: Processes, load: Callable[[], Load]) -> Load:
        """Measure, and check that the log has as many predictions as there were answers.

        Raises:
            RuntimeError: the log has fewer.
        """
        before = self.workspace.logged_rows()
        found = self._counted(servers, load)
        logged = self.workspace.logged_rows() - before
        answered = found.rows_per_second * self.seconds
        if logged < answered * (1 - _LOG_TOLERANCE):
            raise RuntimeError(f"{answered:.0f} answers, but {logged} predictions in the log")
        return found


def better(samples: Sequence[Sample], system: str) -> int:
    """Return the number of processes that answered more texts; 0 for Triton."""
    if system == TRITON:
        return 0
    kind = kinds.BATCHES if system == RAW else kinds.MANY
    rates = {
        processes: [
            sample.found.rows_per_second
            for sample in samples
            if (sample.system, sample.processes, sample.kind) == (system, processes, kind)
        ]
        for processes in PROCESSES
    }
    return max(PROCESSES, key=lambda processes: statistics.median(rates[processes] or [0.0]))


def first_label(workspace: Workspace) -> str:
    """Return the model's label of the example's first text; train the models if there are none."""
    with running_stack(workspace, 1) as stack, grpc.insecure_channel(stack.grpc_address) as channel:
        request = pb.PredictRequest(task=TASK, text=messages.distinct_texts()[0])
        answer = PredictionServiceStub(channel).Predict(request, metadata=stack.metadata)
    return str(answer.prediction.label)
