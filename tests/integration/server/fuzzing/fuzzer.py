"""Calls in concurrent bundles, each with a well-behaved neighbor, and checks of each."""

import asyncio
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import grpc
import grpc.aio
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.integration.server.front import Front
from tests.integration.server.fuzzing.answers import WrongAnswer, check
from tests.integration.server.fuzzing.calls import Case, Outcome, ask, cases, cases_of
from tests.integration.server.fuzzing.messages import METHODS, Dictionary, texts
from tests.integration.server.refusal import of
from tests.plugins.waiting import wait_until
from tidemill.v1 import feedback_service_pb2, job_service_pb2, labeling_service_pb2
from tidemill.v1 import prediction_service_pb2 as pb

BUNDLE = 8
"""Calls that are made at once."""
VERSIONS = {"support": 1, "swapped": 2, "mixed": 3, "untrained": 0}
"""The tasks of a workspace that the dictionary fits, each with its number of versions."""
_BUNDLES_OF_EACH = 2
"""The first that is drawn is the plainest, with hardly anything in it."""
_PREDICT = next(method for method in METHODS if method.name == "Predict")


@dataclass
class Tally:
    """What became of all calls.

    Attributes:
        cases: calls made, the neighbours' aside.
        codes: (service, code) of them.
        habits: of their callers.
        compared: answers that were compared with the model's own.
        neighbours: well-formed calls beside them.
        problems: what was wrong, with the case that brought it out.
        slowest: seconds of the longest call whose caller waited.
    """

    cases: int = 0
    codes: Counter[tuple[str, str]] = field(default_factory=Counter)
    habits: Counter[str] = field(default_factory=Counter)
    compared: int = 0
    neighbours: int = 0
    problems: list[str] = field(default_factory=list)
    slowest: float = 0.0

    def add(self, case: Case, outcome: Outcome) -> None:
        """Check a call."""
        self.cases += 1
        self.codes[case.method.containing_service.name, outcome.code] += 1
        self.habits[case.habit.name] += 1
        if case.habit.waits:
            self.slowest = max(self.slowest, outcome.seconds)
        self._judge(case, outcome)

    def add_neighbour(self, case: Case, outcome: Outcome) -> None:
        """Check a well-formed call."""
        self.neighbours += 1
        if outcome.code != "OK":
            self.problems.append(f"a neighbour got {outcome.code}: {outcome.words}")
        self._judge(case, outcome)

    def _judge(self, case: Case, outcome: Outcome) -> None:
        try:
            self.compared += check(case, outcome)
        except WrongAnswer as wrong:
            self.problems.append(f"{wrong}\n    {case.path} {case}"[:3000])
        except Exception:  # an answer that the checks cannot read
            self.problems.append(f"{traceback.format_exc()}\n    {case.path} {case}"[:3000])


def fuzz(front: Front, count: int, number: int) -> Tally:
    """Make calls of all methods: first some of each, then by chance.

    Args:
        front: over a workspace with the tasks of `VERSIONS`.
        count: of calls by chance.
        number: a seed; the same one makes the same calls.
    """
    tally = Tally()
    dictionary = dictionary_of(front)
    every = [cases_of(method, dictionary) for method in METHODS]
    by_chance = st.lists(cases(dictionary), min_size=BUNDLE, max_size=BUNDLE)
    with asyncio.Runner() as runner:
        channel = runner.run(_open(front.address))

        def ask_all(bundled: Sequence[Case], text: str) -> None:
            runner.run(_ask_all(channel, bundled, text, tally))

        try:
            for start in range(0, len(every), BUNDLE):
                of_each = st.tuples(*every[start : start + BUNDLE])
                _draw(of_each, ask_all, _BUNDLES_OF_EACH, number)
            _draw(by_chance, ask_all, -(-count // BUNDLE), number)
        finally:
            runner.run(channel.close())
    return tally


def _draw(
    bundles: st.SearchStrategy[Sequence[Case]],
    ask_all: Callable[[Sequence[Case], str], None],
    count: int,
    number: int,
) -> None:
    """Draw bundles, each with its neighbor's text, and make their calls."""

    @seed(number)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(bundles, texts())
    def bundle(bundled: Sequence[Case], text: str) -> None:
        ask_all(bundled, text)

    bundle()


async def _open(address: str) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])


async def _ask_all(
    channel: grpc.aio.Channel, bundled: Sequence[Case], text: str, tally: Tally
) -> None:
    request = pb.PredictRequest(task="support", text=text, top_k=4)
    neighbour = Case(_PREDICT, (request.SerializeToString(),))
    outcomes = await asyncio.gather(*(ask(channel, each) for each in (*bundled, neighbour)))
    for case, outcome in zip(bundled, outcomes, strict=False):
        tally.add(case, outcome)
    tally.add_neighbour(neighbour, outcomes[-1])


def _is_stored(front: Front, prediction_id: str) -> bool:
    try:
        front.predictions.GetPrediction(pb.GetPredictionRequest(prediction_id=prediction_id))
    except grpc.RpcError as error:
        if of(error).code != "NOT_FOUND":
            raise
        return False
    return True


def dictionary_of(front: Front) -> Dictionary:
    """Return values that mean something to this front, such as ids that exist and are stored."""
    made = front.predictions.Predict(pb.PredictRequest(task="support", text="card")).prediction
    verdict = feedback_service_pb2.SubmitFeedbackRequest(
        prediction_id=made.prediction_id, correct=True
    )
    front.feedback.SubmitFeedback(verdict)
    wait_until(lambda: _is_stored(front, made.prediction_id), "the prediction is stored")
    jobs = [job.job for job in front.jobs.ListJobs(job_service_pb2.ListJobsRequest()).jobs]
    tasks = tuple(VERSIONS)
    models = tuple(f"{task}-onnx" for task in tasks)
    items = front.labeling.ListLabelItems(labeling_service_pb2.ListLabelItemsRequest()).label_items
    return {
        "task": tasks,
        "text": ("lost my card", "refund the fee"),
        "texts": ("lost my card", "refund the fee"),
        "prediction_id": (made.prediction_id, made.prediction_id[:-1]),
        "label": ("billing", "card"),
        "label_item_id": tuple(item.label_item_id for item in items) or ("0" * 32,),
        "annotator": ("ana", "ben"),
        "model_name": models,
        "name": (*models, "input_ids", "probabilities__0"),
        "version": ("", "1", "2", "99"),
        "datatype": ("INT32", "FP32", "BYTES"),
        "job": tuple(jobs) or ("retrain",),
        "run_id": ("1", "99"),
        "page_token": ("", "1", "0", "-1", "x"),
        "service": ("", "tidemill.task.support", "tidemill.task.untrained"),
        "dataset_version": ("d" * 64,),
    }
