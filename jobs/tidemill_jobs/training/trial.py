"""One trial of a search, in this process or as a task on a Ray cluster."""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue

import numpy as np
from scipy.special import log_softmax

from tidemill_jobs.cluster import Cluster
from tidemill_jobs.context import Progress
from tidemill_jobs.training.calibrate import fit_temperature
from tidemill_jobs.training.encoded_rows import EncodedRows
from tidemill_jobs.training.fit import EpochListener, answers_of, reproducible
from tidemill_jobs.training.network import Hyperparameters, Learner, Network

LogLoss = Callable[[Hyperparameters, Progress, EpochListener], float]
"""Trains with values of the hyperparameters, and returns the log loss of the held-out rows."""
_Epoch = tuple[Mapping[str, float], int]
_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class SearchSubject:
    """What a search varies.

    Attributes:
        network: names the hyperparameters to vary.
        learner: learns with them.
        held_out: at least one row; trials are compared on them.
        seed: of each trial's training, and of the search.
        threads: CPU threads of each trial.
    """

    network: Network
    learner: Learner
    held_out: EncodedRows
    seed: int
    threads: int


def log_loss(
    subject: SearchSubject, values: Hyperparameters, progress: Progress, on_epoch: EpochListener
) -> float:
    """Train, and return the mean negative log likelihood of the held-out rows, calibrated."""
    with reproducible(subject.seed, subject.threads):
        classifier = subject.learner(values, progress, on_epoch)
        logits = answers_of(classifier, subject.held_out.input_ids).numpy()
    targets = subject.held_out.targets.numpy()
    scaled = log_softmax(logits / fit_temperature(logits, targets), axis=1)
    return -float(scaled[np.arange(len(targets)), targets].mean())


@contextmanager
def learning(subject: SearchSubject, ray_address: str) -> Iterator[tuple[LogLoss, int]]:
    """Yield what runs a trial, and the CPUs of the cluster; without an address, 0.

    Raises as `Cluster`.
    """
    if not ray_address:
        yield partial(log_loss, subject), 0
        return
    with Cluster(ray_address) as cluster:
        yield partial(_log_loss_on, cluster, cluster.share(subject)), cluster.cpus


def _log_loss_on(
    cluster: Cluster,
    subject: SearchSubject,
    values: Hyperparameters,
    progress: Progress,
    on_epoch: EpochListener,
) -> float:
    """Do as `log_loss` on a node; what the listeners raise cancels the task."""
    result = float("nan")
    with closing(cluster.stream(_epochs, subject, values)) as reports:
        for report in reports:
            if isinstance(report, float):
                result = report
            else:
                on_epoch(*report)
                progress(0.0, f"epoch {report[1]}")
    return result


class _Canceled(Exception):
    """Ends the training of a task that was canceled."""


def _epochs(subject: SearchSubject, values: Hyperparameters) -> Iterator[_Epoch | float]:
    """Train in a thread; yield each epoch's measures and number, and at last the log loss."""
    reports: SimpleQueue[_Epoch | Future[float]] = SimpleQueue()
    is_over = threading.Event()

    def on_epoch(measures: Mapping[str, float], epoch: int) -> None:
        if is_over.is_set():
            raise _Canceled
        reports.put((measures, epoch))

    with ThreadPoolExecutor(1) as thread:
        training = thread.submit(log_loss, subject, values, lambda *_: None, on_epoch)
        training.add_done_callback(reports.put)
        try:
            yield from _until_done(reports)
        finally:
            is_over.set()
    yield training.result()


def _until_done(reports: "SimpleQueue[_Epoch | Future[float]]") -> Iterator[_Epoch]:
    while True:
        try:  # only between two waits can a task be canceled
            report = reports.get(timeout=_LOOK_SECONDS)
        except Empty:
            continue
        if isinstance(report, Future):
            return
        yield report
