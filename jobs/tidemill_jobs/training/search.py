"""The search for better hyperparameters, with Optuna."""

import io
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import optuna
import structlog
from optuna.importance import get_param_importances
from optuna.trial import Trial, TrialState
from sqlalchemy import create_engine, make_url, text

from tidemill_core.settings.training import TrainingSettings
from tidemill_jobs.context import Progress
from tidemill_jobs.training.network import Hyperparameters
from tidemill_jobs.training.tracking import Tracker
from tidemill_jobs.training.trial import LogLoss, SearchSubject, learning

IMPORTANCE_FILE = "hyperparameter_importance.png"
_RANDOM_TRIALS = 8
_FIRST_EPOCHS = 3
_SQLITE_SECONDS = 60
_DONE = (TrialState.COMPLETE, TrialState.PRUNED)

log = structlog.get_logger()


@dataclass(frozen=True)
class SearchConfig:
    """How far to search, and where the search is stored.

    Attributes:
        trials: the most trials; None for no limit. One of both limits is set.
        budget_seconds: the longest time, over all runs of the search; None for no limit. The first
            trial always ends.
        parallel_trials: trials at a time, each in a thread.
        storage_url: a SQLAlchemy URL; on PostgreSQL, its schema `optuna` is created if missing.
        study: the name of the search: an earlier search of this name goes on.
        ray_address: a Ray cluster that runs the trials, one on each CPU; empty for this process.
    """

    trials: int | None
    budget_seconds: float | None
    parallel_trials: int
    storage_url: str
    study: str
    ray_address: str = ""


def search_config(
    training: TrainingSettings, storage_url: str, name: str, ray_address: str = ""
) -> SearchConfig | None:
    """Return how a task's settings ask to search; None if they ask for no search."""
    if training.trials is None and training.budget_seconds is None:
        return None
    return SearchConfig(
        training.trials,
        training.budget_seconds,
        training.parallel_trials,
        storage_url,
        f"{name}/{training.network}/{training.seed}",
        ray_address,
    )


def search(
    subject: SearchSubject, config: SearchConfig, progress: Progress, tracker: Tracker
) -> Hyperparameters:
    """Search, and return the best trial's values of the hyperparameters that the search varies.

    The first trial has the defaults. A trial's value is the mean negative log likelihood of the
    held-out rows after calibration. A trial is pruned if its error on them is above the median of
    the earlier trials' at the same epoch. Trials that a killed process left behind run again.

    Raises:
        RunCanceled: someone asked the run to stop; the ended trials stay.
        ClusterUnavailable: the Ray cluster cannot be reached, or lost a trial too often.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with (
        _storage(config.storage_url) as storage,
        learning(subject, config.ray_address) as (log_loss, cpus),
    ):
        parallel = min(cpus, config.trials or cpus) or config.parallel_trials
        config = replace(config, parallel_trials=parallel)
        study = _open(storage, config, subject)
        trials, seconds = _left(study, config)
        trial = _Trial(subject, log_loss, study, config, time.monotonic() + seconds, progress)
        if trials and seconds:
            # One after the other: on SQLite, two threads may take the same queued trial.
            queued = _count(study, (TrialState.WAITING,))
            if config.trials is not None:
                queued = min(queued, trials)
            if queued:
                study.optimize(trial, queued, trial.seconds_left())
            if config.trials is None or trials > queued:
                limit = None if config.trials is None else trials - queued
                study.optimize(trial, limit, trial.seconds_left(), config.parallel_trials)
        return _found(study, tracker)


def _found(study: optuna.Study, tracker: Tracker) -> Hyperparameters:
    """Log a search and return the best trial's values; none if no trial was completed."""
    completed = study.get_trials(states=(TrialState.COMPLETE,))
    for trial in completed:
        tracker.log_metrics({"search_log_loss": float(trial.values[0])}, trial.number + 1)
    if (drawn := _importance(study)) is not None:
        tracker.log_artifact(IMPORTANCE_FILE, drawn)
    best = dict(study.best_params) if completed else {}
    log.info("search_ended", study=study.study_name, trials=_count(study, _DONE), best=best)
    return best


class _Trial:
    """The objective: trains with a trial's values and returns the log loss."""

    def __init__(
        self,
        subject: SearchSubject,
        log_loss: LogLoss,
        study: optuna.Study,
        config: SearchConfig,
        ends: float,
        progress: Progress,
    ) -> None:
        self._subject, self._log_loss = subject, log_loss
        self._study, self._config = study, config
        self._ends, self._progress = ends, progress
        self._lock = threading.Lock()

    def __call__(self, trial: Trial) -> float:
        network = self._subject.network
        values = {**network.defaults, **network.suggest(trial)}

        def on_epoch(measures: Mapping[str, float], epoch: int) -> None:
            trial.report(1.0 - measures["validation_accuracy"], epoch)
            if trial.should_prune() or self._is_over():
                raise optuna.TrialPruned

        def progress(_done: float, message: str) -> None:
            self._report(f"trial {trial.number + 1}: {message}")

        return self._log_loss(values, progress, on_epoch)

    def seconds_left(self) -> float | None:
        """Return how long the search may go on; None for no limit."""
        left = self._ends - time.monotonic()
        return None if self._config.budget_seconds is None else max(left, 0.0)

    def _report(self, message: str) -> None:
        done = _count(self._study, _DONE)
        fractions = [done / self._config.trials] if self._config.trials else []
        if self._config.budget_seconds is not None:
            fractions.append(1 - (self._ends - time.monotonic()) / self._config.budget_seconds)
        with self._lock:
            self._progress(min(max(*fractions, 0.0), 1.0), message)

    def _is_over(self) -> bool:
        return time.monotonic() > self._ends and _count(self._study, (TrialState.COMPLETE,)) > 0


def _open(
    storage: optuna.storages.RDBStorage, config: SearchConfig, subject: SearchSubject
) -> optuna.Study:
    """Open a study, and queue again the trials of a process that was killed."""
    study = optuna.create_study(
        storage=storage,
        study_name=config.study,
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_warmup_steps=_FIRST_EPOCHS),
    )
    earlier = study.get_trials(deepcopy=False)
    # Another seed for each start: the same one would try the same values again.
    seed = (subject.seed + len(earlier)) % 2**32
    study.sampler = optuna.samplers.TPESampler(n_startup_trials=_RANDOM_TRIALS, seed=seed)
    if not earlier:
        fixed = optuna.trial.FixedTrial(dict(subject.network.defaults))
        study.enqueue_trial(dict(subject.network.suggest(fixed)))  # type: ignore[arg-type]  # it asks like a trial
    for left in earlier:
        if left.state is TrialState.RUNNING:
            study.tell(left.number, state=TrialState.FAIL)
            study.enqueue_trial(left.params)
    return study


@contextmanager
def _storage(url: str) -> Iterator[optuna.storages.RDBStorage]:
    """Open Optuna's tables, and create them if they are missing."""
    if make_url(url).get_backend_name() == "sqlite":
        storage = optuna.storages.RDBStorage(
            url, engine_kwargs={"connect_args": {"timeout": _SQLITE_SECONDS}}
        )
    else:
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(text("CREATE SCHEMA IF NOT EXISTS optuna"))
        engine.dispose()
        storage = optuna.storages.RDBStorage(url)
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _left(study: optuna.Study, config: SearchConfig) -> tuple[int, float]:
    """Return how many trials and seconds are left; without a limit, the seconds are infinite."""
    trials = 1 if config.trials is None else max(config.trials - _count(study, _DONE), 0)
    if config.budget_seconds is None:
        return trials, float("inf")
    ended = study.get_trials(deepcopy=False, states=_DONE)
    spent = sum(each.duration.total_seconds() for each in ended if each.duration)
    return trials, max(config.budget_seconds - spent / config.parallel_trials, 0.0)


def _count(study: optuna.Study, states: Sequence[TrialState]) -> int:
    return len(study.get_trials(deepcopy=False, states=tuple(states)))


def _importance(study: optuna.Study) -> bytes | None:
    """Return a plot of how far each hyperparameter decides, as PNG; None if that is unknown."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shares = get_param_importances(study)
    except (ValueError, RuntimeError):  # too few trials, or all are equal
        return None
    from matplotlib.figure import Figure  # slow to import

    figure = Figure(figsize=(7, 1 + 0.4 * len(shares)), layout="constrained")
    axes = figure.subplots()
    axes.barh(list(shares)[::-1], list(shares.values())[::-1])
    axes.set_xlabel("share of the log loss's variance (fANOVA)")
    axes.set_title(f"{study.study_name.partition('/')[0]}: importance of hyperparameters")
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()
