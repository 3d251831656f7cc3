"""The rules of the parameters of jobs. A wrong parameter is refused before its run is queued."""

import re
from dataclasses import dataclass
from typing import get_args

from tidemill_core.domain.job import EVALUATE, REPRODUCE_MODEL, SCORE
from tidemill_core.domain.job_parameters import (
    OUTPUT_IS_INPUT,
    EvaluateParameters,
    JobParameters,
    MissingInput,
    ReproduceModelParameters,
    RetrainParameters,
    SameVersion,
    ScoreParameters,
    TrainingPlace,
)
from tidemill_core.errors import DataError, InvalidArgument, NoChampion, NoClasses
from tidemill_core.row_places import check_output, database_place
from tidemill_core.settings import TaskSettings
from tidemill_core.settings.sagemaker import SagemakerSettings
from tidemill_core.settings.training import NetworkName
from tidemill_core.storage.database import Page
from tidemill_core.storage.models import ModelStore
from tidemill_server.handlers.fields import MAX_KEY_LENGTH, check_visible, check_words
from tidemill_server.inference.query import UnknownModelVersion

NETWORKS: tuple[str, ...] = get_args(NetworkName)
MAX_TRIALS = 10_000
MAX_BUDGET_SECONDS = 7 * 24 * 3600
MAX_PLACE_LENGTH = 2000
_NEWEST = 5
_PASSWORD = re.compile(
    r"://[^/\s@:]*:(?!\d+/)[^\s@]*@"  # it may contain a slash
    r"|[?&](\w*(password|passwd|pwd|secret|token)|sig|x-amz-signature)=",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ParameterRules:
    """The rules. Some depend on the task's versions and on the settings."""

    models: ModelStore
    sagemaker: SagemakerSettings

    def check(
        self, job: str, parameters: JobParameters | None, task: str, settings: TaskSettings
    ) -> None:
        """Check a job's parameters for a task, as far as this machine can.

        Raises:
            InvalidArgument: names the field and the rule.
            NoChampion: the job needs a version, none is named, and the task has no champion.
            NoClasses: the job needs labels, and the task has none.
        """
        if parameters is None and job in (SCORE, EVALUATE):
            raise MissingInput(job)
        if job in (SCORE, EVALUATE) and settings.kind == "preference":
            raise NoClasses(task)
        if isinstance(parameters, RetrainParameters):
            self._check_retrain(parameters, task, settings)
        if isinstance(parameters, ScoreParameters):
            _check_score(parameters)
        if isinstance(parameters, EvaluateParameters):
            _check_evaluate(parameters)
        if isinstance(parameters, ReproduceModelParameters | ScoreParameters | EvaluateParameters):
            self._check_version(f"{job}.model_version", task, parameters.model_version)
        elif job == REPRODUCE_MODEL:
            self._champion(task)
        if isinstance(parameters, EvaluateParameters) and parameters.against:
            self._check_against(parameters, task)

    def _check_retrain(self, asked: RetrainParameters, task: str, settings: TaskSettings) -> None:
        if asked.network is not None and asked.network not in NETWORKS:
            rule = f"there is no network {asked.network[:40]!r}; there are: {', '.join(NETWORKS)}"
            raise InvalidArgument("UNKNOWN_NETWORK", "retrain.network", rule)
        _check_range("retrain.trials", asked.trials, MAX_TRIALS)
        _check_range("retrain.budget_seconds", asked.budget_seconds, MAX_BUDGET_SECONDS)
        if asked.place is not TrainingPlace.SAGEMAKER:
            return
        if obstacle := self.sagemaker.obstacle(task, settings.kind, settings.training):
            raise InvalidArgument("PLACE_NOT_POSSIBLE", "retrain.place", obstacle)

    def _check_version(self, field: str, task: str, version: int) -> None:
        """Check that a version exists; 0 is the champion."""
        if version == 0:
            self._champion(task)
            return
        newest, _ = self.models.page(task, Page(size=_NEWEST))
        if not 1 <= version <= (newest[0].version if newest else 0):
            known = ", ".join(str(each.version) for each in newest) or "none"
            rule = f"{task} has no version {version}; its newest are: {known}"
            raise UnknownModelVersion(field, rule)

    def _check_against(self, asked: EvaluateParameters, task: str) -> None:
        self._check_version("evaluate.against", task, asked.against)
        if asked.against == (asked.model_version or self._champion(task)):
            raise SameVersion(asked.against)

    def _champion(self, task: str) -> int:
        deployment = self.models.deployment(task)
        if deployment is None:
            raise NoChampion(task)
        return deployment.champion


def _check_score(asked: ScoreParameters) -> None:
    _check_place("score.input", asked.input)
    _check_place("score.output", asked.output)
    check_words("score.text_column", asked.text_column, MAX_KEY_LENGTH)
    if asked.input == asked.output:
        raise InvalidArgument(OUTPUT_IS_INPUT, "score.output", "is the input; name another place")
    try:
        check_output(asked.output)
    except DataError as error:
        raise InvalidArgument(error.reason, "score.output", str(error)) from error


def _check_evaluate(asked: EvaluateParameters) -> None:
    _check_place("evaluate.input", asked.input)
    check_words("evaluate.text_column", asked.text_column, MAX_KEY_LENGTH)
    check_words("evaluate.label_column", asked.label_column, MAX_KEY_LENGTH)


def _check_place(field: str, place: str) -> None:
    """Check a path or URL of rows. Runs are stored and shown, so it must not have a password."""
    check_visible(field, place, MAX_PLACE_LENGTH)
    if _PASSWORD.search(place):
        rule = "has a password: set the URL in an environment variable of the jobs, env:VARIABLE"
        raise InvalidArgument("PASSWORD_IN_URL", field, rule)
    try:
        database_place(place)
    except DataError as error:
        raise InvalidArgument(error.reason, field, str(error)) from error


def _check_range(field: str, value: int | None, highest: int) -> None:
    if value is not None and not 1 <= value <= highest:
        rule = f"{value} is not from 1 to {highest:,}"
        raise InvalidArgument("VALUE_OUT_OF_RANGE", field, rule)
