"""The job `score`: the predictions of one version for the rows of a file or a table.

The answers to each chunk of rows are kept in the state directory until the output is complete. If
the run is killed, the same run started again takes them from there. So each row is in the output
exactly once, and the output appears complete or not at all.
"""

import hashlib
import json
import shutil
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tidemill_core.domain.job import SCORE, JobRunState
from tidemill_core.domain.job_parameters import (
    OUTPUT_IS_INPUT,
    JobParameters,
    MissingInput,
    ScoreParameters,
)
from tidemill_core.errors import DataError, NotFound
from tidemill_core.freed_memory import return_large_blocks
from tidemill_core.log_policy import LogPolicy
from tidemill_core.prediction_id import PredictionIdSigner, load_keys
from tidemill_core.row_places import PrivateFolders
from tidemill_core.settings import Settings
from tidemill_core.storage.jobs import JobStore
from tidemill_core.text_hash import load_text_key
from tidemill_jobs.cluster import Cluster
from tidemill_jobs.context import JobContext, Progress, Result
from tidemill_jobs.data.sources.errors import NoRows
from tidemill_jobs.data.sources.files.stored_file import without_secrets
from tidemill_jobs.data.whole_files import remove_left_over, written_whole
from tidemill_jobs.scoring.answers import AnswerStore, RowAnswers, remove_old
from tidemill_jobs.scoring.chunks import Chunk, chunks
from tidemill_jobs.scoring.cluster_scorer import Asked, ClusterScorer
from tidemill_jobs.scoring.predictions import PredictionLogger
from tidemill_jobs.scoring.reading import Wanted, read_rows
from tidemill_jobs.scoring.scorer import Scorer, ServedVersion, asked_version, served_version
from tidemill_jobs.scoring.summary import Summary
from tidemill_jobs.scoring.turns import SharedTurns
from tidemill_jobs.scoring.writing import Output, open_output
from tidemill_jobs.scoring.writing.answered_rows import answered_rows
from tidemill_jobs.scoring.writing.output import PREDICTION_COLUMNS, OutputExists

FOLDER = "scoring"
"""The folder in the state directory."""
_COMMITTED = "result.json"


def run(context: JobContext) -> Result:
    """Score the rows of a place.

    Raises:
        DataError: the input or the output cannot be used; names it, and says what to do.
        NoChampion: the task has no champion.
        NoClasses: the task's models have no labels.
        VersionNotLoaded: Triton does not serve the version.
        TritonUnavailable: Triton is away for a minute.
        RunCanceled: someone asked the run to stop.
    """
    return_large_blocks()
    asked = _checked(context.parameters)
    version = asked_version(context.storage.models, context.task, asked.model_version)
    served = served_version(version, context.repository, context.task_settings)
    scoring = _opened(context, asked, served)
    if (finished := scoring.finished(context.storage.jobs)) is not None:
        return finished
    output = open_output(asked.output, scoring.folder, scoring.private, overwrite=asked.overwrite)
    try:
        with _scorer(context, served) as scorer:
            summary = _scored(scoring, scorer, output)
        result = {
            "output": without_secrets(asked.output),
            "model_version": version.version,
            **summary.result(),
        }
        scoring.commit(output, result, context.run_id)
    finally:
        output.discard()
    return result


def _scorer(context: JobContext, served: ServedVersion) -> Scorer | ClusterScorer:
    """Return what asks for answers: this process, or the nodes of a Ray cluster."""
    settings, longest = context.settings, context.task_settings.max_text_length
    if settings.ray.address:
        asked = Asked(served, settings.triton_target, longest)
        return ClusterScorer(Cluster(settings.ray.address), asked)
    return Scorer(served, context.triton, SharedTurns(context.triton.answered_calls), longest)


@dataclass(frozen=True)
class _Scoring:
    """One input, version and output, and the folder of what is kept until the output is there."""

    asked: ScoreParameters
    folder: Path
    answers: AnswerStore
    logger: PredictionLogger | None
    private: PrivateFolders
    progress: Progress

    def finished(self, jobs: JobStore) -> Result | None:
        """Return the result of a run that died after its output appeared; None if there is none."""
        path = self.folder / _COMMITTED
        if self.asked.overwrite or not path.exists():
            return None
        result, run_id = json.loads(path.read_bytes())
        if not _died(jobs, run_id):
            return None
        try:
            open_output(self.asked.output, self.folder, self.private, overwrite=False).discard()
        except OutputExists:
            found: Result = result
            return found
        return None

    def commit(self, output: Output, result: Result, run_id: str) -> None:
        """Make the output appear, and remove what was kept."""
        with written_whole(self.folder / _COMMITTED) as staged:
            staged.write_text(json.dumps([result, run_id]))
        output.commit()
        for path in self.folder.iterdir():
            if path.name != _COMMITTED:
                path.unlink()


def _checked(asked: JobParameters | None) -> ScoreParameters:
    if not isinstance(asked, ScoreParameters):
        raise MissingInput(SCORE)
    if asked.input == asked.output:
        raise DataError(OUTPUT_IS_INPUT, f"{without_secrets(asked.input)} is input and output")
    return asked


def _opened(context: JobContext, asked: ScoreParameters, served: ServedVersion) -> _Scoring:
    """Open the folder of a scoring, and remove those of others with the same output."""
    root = context.settings.state_dir / FOLDER
    place = root / _digest([context.task, asked.output])
    folder = place / _digest([asdict(asked) | {"overwrite": False}, served.number])
    remove_old(root)
    for other in place.glob("*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    place.touch()
    remove_left_over(folder)
    logger = _logger(context, asked, served)
    private = private_folders(context.settings)
    return _Scoring(asked, folder, AnswerStore(folder), logger, private, context.progress)


def private_folders(settings: Settings) -> PrivateFolders:
    """Return the folders that jobs of callers must not reach."""
    return PrivateFolders((settings.state_dir, settings.model_repository))


def _digest(values: list[Any]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


def _logger(
    context: JobContext, asked: ScoreParameters, served: ServedVersion
) -> PredictionLogger | None:
    if not asked.log_predictions:
        return None
    settings = context.settings
    keys = load_keys(settings.state_dir, settings.prediction_id_keys.get_secret_value())
    return PredictionLogger(
        context.storage.predictions,
        LogPolicy(settings.tasks, load_text_key(settings.state_dir)),
        PredictionIdSigner(keys),
        served,
        context.run_id,
        context.clock,
    )


def _died(jobs: JobStore, run_id: str) -> bool:
    try:
        state = jobs.get(run_id).state
        return state.ended and state is not JobRunState.SUCCEEDED
    except NotFound:
        return False


def _scored(scoring: _Scoring, scorer: Scorer | ClusterScorer, output: Output) -> Summary:
    """Write all rows with their answers to the output."""
    summary = Summary(scorer.version.labels, scorer.version.abstain_below)
    wanted = Wanted(scoring.asked.text_column)
    waiting: deque[tuple[Chunk, Any]] = deque()
    for chunk in chunks(read_rows(scoring.asked.input, wanted, scoring.private)):
        _check_columns(chunk)
        kept = scoring.answers.load(chunk)
        waiting.append((chunk, scorer.begin(chunk.rows) if kept is None else kept))
        if len(waiting) > scorer.ahead:
            _finish(scoring, scorer, output, summary, *waiting.popleft())
    while waiting:
        _finish(scoring, scorer, output, summary, *waiting.popleft())
    if not summary.rows:
        raise NoRows(without_secrets(scoring.asked.input))
    return summary


def _finish(
    scoring: _Scoring,
    scorer: Scorer | ClusterScorer,
    output: Output,
    summary: Summary,
    chunk: Chunk,
    pending: Any,
) -> None:
    """Keep, log and write the answers to a chunk: kept ones, or those that `scorer` began."""
    if isinstance(pending, RowAnswers):
        answers = pending
    else:
        answers = scorer.finish(pending)
        if scoring.logger is not None:
            answers = scoring.logger.signed(answers)
        scoring.answers.save(chunk, answers)
    if scoring.logger is not None and not scoring.answers.is_logged(chunk):
        scoring.logger.store_chunk(chunk, answers)
        scoring.answers.mark_logged(chunk)
    output.write(list(answered_rows(chunk, answers, scorer.version)), chunk.schema)
    summary.add(answers, done=chunk.done, kept=answers is pending)
    scoring.progress(chunk.done, summary.message(chunk.done))


def _check_columns(chunk: Chunk) -> None:
    for row in chunk.rows:
        if taken := row.values.keys() & set(PREDICTION_COLUMNS.names):
            raise DataError(
                "COLUMN_TAKEN",
                f"{row.origin}: scoring writes a column {min(taken)!r}; rename that of the input",
            )
