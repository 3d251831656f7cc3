"""The search for better hyperparameters."""

import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import create_engine, text

from tidemill_core.settings import Settings
from tidemill_jobs.context import RunCanceled
from tidemill_jobs.training.labeled_texts import LabeledTexts, TrainingData
from tidemill_jobs.training.network import load_network
from tidemill_jobs.training.search import IMPORTANCE_FILE, SearchConfig
from tidemill_jobs.training.tracking import Tracker, Untracked
from tidemill_jobs.training.train import TrainedModel, TrainingConfig, train

STUDY = "support/abc/ngram/0"


@dataclass
class Artifacts(Untracked):
    """A tracker that keeps files."""

    kept: dict[str, bytes] = field(default_factory=dict)

    def log_artifact(self, name: str, content: bytes) -> None:
        """Keep a file."""
        self.kept[name] = content


def ignore(_done: float, _message: str) -> None:
    """Ignore the progress."""


@pytest.fixture
def config(tmp_path: Path) -> SearchConfig:
    """A search of four trials in a new database."""
    return SearchConfig(4, None, 1, f"sqlite:///{tmp_path}/optuna.db", STUDY)


def states(config: SearchConfig) -> list[TrialState]:
    """Return the states of a search's trials."""
    study = optuna.load_study(study_name=config.study, storage=config.storage_url)
    return [trial.state for trial in study.trials]


def searched(data: TrainingData, config: SearchConfig, tracker: Tracker) -> TrainedModel:
    """Search, and train with what was found."""
    return train(data, TrainingConfig(search=config), ignore, tracker)


def test_the_best_trial_is_trained_again_and_kept(data: TrainingData, config: SearchConfig) -> None:
    """The model has the best trial's values, and they alone give its weights again."""
    tracker = Artifacts()
    model = searched(data, config, tracker)
    study = optuna.load_study(study_name=STUDY, storage=config.storage_url)
    assert len(study.trials) == 4
    defaults = load_network("ngram").defaults
    first = study.trials[0].params
    assert first == {name: defaults[name] for name in first}
    assert model.record.hyperparameters == {**defaults, **study.best_params}
    again = train(data, TrainingConfig("ngram", model.record.hyperparameters), ignore, tracker)
    assert again.record == model.record
    assert tracker.kept[IMPORTANCE_FILE].startswith(b"\x89PNG")


def test_a_finished_search_is_not_repeated(
    data: TrainingData, config: SearchConfig, recorder: Tracker
) -> None:
    """The same search again adds no trial, and more trials go on where it ended."""
    model = searched(data, config, recorder)
    assert searched(data, config, recorder).record == model.record
    assert len(states(config)) == 4
    searched(data, replace(config, trials=6, parallel_trials=2), recorder)
    assert len(states(config)) == 6


def test_a_time_budget_ends_the_search_after_at_least_one_trial(
    data: TrainingData, config: SearchConfig, recorder: Tracker
) -> None:
    """However short the budget, the first trial ends; the next run has no time left."""
    short = replace(config, trials=None, budget_seconds=1e-6)
    searched(data, short, recorder)
    searched(data, short, recorder)
    assert states(short).count(TrialState.COMPLETE) <= 1


def test_without_held_out_rows_there_is_no_search(
    data: TrainingData, config: SearchConfig, recorder: Tracker
) -> None:
    """A task without validation rows gets the defaults."""
    model = searched(replace(data, validation=LabeledTexts()), config, recorder)
    assert model.record.hyperparameters == load_network("ngram").defaults


def test_a_canceled_search_goes_on_later(
    data: TrainingData, config: SearchConfig, recorder: Tracker
) -> None:
    """Canceling ends the search at once; the next run does the trials that are missing."""

    def cancel(_done: float, message: str) -> None:
        if message.startswith("trial 3"):
            raise RunCanceled

    with pytest.raises(RunCanceled):
        train(data, TrainingConfig(search=config), cancel, recorder)
    assert TrialState.FAIL in states(config)
    searched(data, config, recorder)
    assert sum(state in (TrialState.COMPLETE, TrialState.PRUNED) for state in states(config)) == 4


def test_a_killed_search_goes_on_where_it_stopped(
    data: TrainingData, config: SearchConfig, recorder: Tracker
) -> None:
    """After a SIGKILL the ended trials count, and the interrupted one runs again."""
    program = f"""
from tests.unit.jobs.training.conftest import weather
from tests.unit.jobs.training.test_search import *
many = SearchConfig(1000, None, 1, {config.storage_url!r}, STUDY)
data = TrainingData(weather(60), weather(20, 60), weather(20, 80))
say = lambda _done, message: print(message, flush=True)
train(data, TrainingConfig(search=many), say, Untracked())
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(line.startswith("trial 3") for line in process.stdout)
        process.kill()
    before = optuna.load_study(study_name=STUDY, storage=config.storage_url).trials
    ended = [each for each in before if each.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    interrupted = [each for each in before if each.state is TrialState.RUNNING]
    searched(data, replace(config, trials=len(ended) + 2), recorder)
    after = optuna.load_study(study_name=STUDY, storage=config.storage_url).trials
    assert [each.values for each in after[: len(ended)]] == [each.values for each in ended]
    assert [each.state for each in after].count(TrialState.RUNNING) == 0
    assert len(after) == len(before) + 2
    for each in interrupted:
        assert any(other.params.items() >= each.params.items() for other in after[len(before) :])


def test_on_postgresql_the_search_has_a_schema_of_its_own(
    data: TrainingData, recorder: Tracker, postgres_url: str, tmp_path: Path
) -> None:
    """Optuna's tables are in the schema `optuna`, and the search leaves the others alone."""
    settings = Settings(tasks={}, state_dir=tmp_path, database_url=postgres_url)
    config = SearchConfig(1, None, 1, settings.optuna_url, STUDY)
    searched(data, config, recorder)
    searched(data, config, recorder)
    engine = create_engine(postgres_url)
    tables = "SELECT table_schema FROM information_schema.tables WHERE table_name = 'trials'"
    with engine.connect() as connection:
        assert [row[0] for row in connection.execute(text(tables))] == ["optuna"]
    engine.dispose()
