"""The predictions of a scoring that are logged, as those of callers are."""

from dataclasses import dataclass

from tidemill_core.clock import Clock
from tidemill_core.domain.prediction import Prediction, Score
from tidemill_core.log_policy import LogPolicy
from tidemill_core.prediction_id import PredictionClaims, PredictionIdSigner
from tidemill_core.storage.predictions import PredictionStore
from tidemill_jobs.scoring.answers import RowAnswers
from tidemill_jobs.scoring.chunks import Chunk
from tidemill_jobs.scoring.scorer import ServedVersion

METHOD = "Score"
_ALWAYS = 1.0
"""The propensity: no router chose the version."""
_ROWS_A_WRITE = 1_000


@dataclass(frozen=True)
class PredictionLogger:
    """Gives predictions their ids, and stores them.

    Attributes:
        store: where they go; it ignores those that it has.
        policy: what is stored of them.
        signer: signs their ids.
        version: the version that answers.
        run_id: the run; their request id.
        clock: the time.
    """

    store: PredictionStore
    policy: LogPolicy
    signer: PredictionIdSigner
    version: ServedVersion
    run_id: str
    clock: Clock

    def signed(self, answers: RowAnswers) -> RowAnswers:
        """Return the answers with ids."""
        claims = PredictionClaims(self.version.task, self.version.number, self.clock(), _ALWAYS)
        return answers.with_ids(self.signer.sign_each(claims, answers.count))

    def store_chunk(self, chunk: Chunk, answers: RowAnswers) -> None:
        """Store the predictions of a chunk; those that are stored already do not change.

        Raises:
            StorageUnavailable: the database is away.
        """
        found = self.policy.sample(self._predictions(chunk, answers))
        stored = [self.policy.as_stored(each) for each in found]
        for start in range(0, len(stored), _ROWS_A_WRITE):
            self.store.add(stored[start : start + _ROWS_A_WRITE])

    def _predictions(self, chunk: Chunk, answers: RowAnswers) -> list[Prediction]:
        columns = (answers.labels.tolist(), answers.confidences.tolist(), answers.prediction_ids)
        answered = [row for row in zip(chunk.rows, *columns, strict=True) if row[-1]]
        encoder = self.version.encoder
        of_texts = encoder.count_pieces(encoder.encode([row.text for row, *_ in answered]))
        return [
            self._prediction(
                row.text, self.version.labels[label], confidence, prediction_id
            )._replace(text_length=length, unknown_pieces=unknown)
            for (row, label, confidence, prediction_id), length, unknown in zip(
                answered, *of_texts, strict=True
            )
        ]

    def _prediction(
        self, text: str, label: str, confidence: float, prediction_id: str
    ) -> Prediction:
        return Prediction(
            prediction_id=prediction_id,
            task=self.version.task,
            model_version=self.version.number,
            text=text,
            label=label,
            confidence=confidence,
            scores=(Score(label, confidence),),
            abstained=confidence < self.version.abstain_below,
            method=METHOD,
            request_id=self.run_id,
            routing_key="",
            attributes={},
            propensity=_ALWAYS,
            latency_ms=0.0,
            predict_time=self.signer.verify(prediction_id).predict_time,
        )
