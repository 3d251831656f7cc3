"""What an imported model's answers show: whether it fits, its calibration, and its measures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from tokenizers import Tokenizer

from tidemill_core.counted import counted
from tidemill_core.model_repository import ReliabilityBin, TrainingRecord
from tidemill_core.text import TextEncoder
from tidemill_jobs.context import Progress, part
from tidemill_jobs.importing.foreign_model import SMALLEST, Calibration
from tidemill_jobs.importing.refusal import ModelRefused
from tidemill_jobs.importing.sandbox import Sandbox
from tidemill_jobs.training.abstain import find_threshold
from tidemill_jobs.training.calibrate import fit_temperature
from tidemill_jobs.training.evaluate import Measures, evaluate, reliability
from tidemill_jobs.training.export import TOLERANCE
from tidemill_jobs.training.labeled_texts import LabeledTexts, TrainingData

CALIBRATION_ROWS = 2000
"""The most rows that the temperature is fitted on."""
_ROWS_A_CALL = 64
_PROBED_TEXTS = 16
_ALONE = 3
"""How many probed rows are also asked alone."""
_BATCH_TOLERANCE = 0.05
"""Quantization and half precision let a row's output depend a little on its batch."""
_SUM_TOLERANCE = 1e-2

Numbers = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ImportedModel:
    """A wrapped model and its answers to the test split.

    Attributes:
        content: the model's file.
        labels: the labels, in the order of the model's output.
        tokenizer: turns texts into pieces.
        encoder: turns texts into token ids.
        vocabulary_size: the number of token ids.
        temperature: calibrates the model; it is in the graph.
        test_measures: the measures on the test split.
        test_probabilities: float32 of shape [test rows, labels].
        reliability: of the test split.
        abstain_below: as in the manifest.
        record: how it was trained; None if Tidemill did not train it.
    """

    content: bytes
    labels: tuple[str, ...]
    tokenizer: Tokenizer
    encoder: TextEncoder
    vocabulary_size: int
    temperature: float
    test_measures: Measures
    test_probabilities: Numbers
    reliability: tuple[ReliabilityBin, ...]
    abstain_below: float
    record: TrainingRecord | None = None

    @property
    def tokenizer_json(self) -> str:
        """The content of `tokenizer.json`."""
        return self.tokenizer.to_str()

    @property
    def sequence_length(self) -> int:
        """Token ids per row."""
        return self.encoder.sequence_length


@dataclass(frozen=True)
class OpenedModel:
    """A model in its confined process, with what turns texts and labels into numbers.

    Its methods raise ModelRefused if the model does not fit, or fails.
    """

    sandbox: Sandbox
    tokenizer: Tokenizer
    vocabulary_size: int
    encoder: TextEncoder
    labels: tuple[str, ...]

    def answer(
        self, texts: Sequence[str], progress: Progress = lambda *_: None, doing: str = ""
    ) -> Numbers:
        """Return the answers to n texts: float32 [n, labels]; all are finite."""
        parts = [np.zeros((0, len(self.labels)), np.float32)]
        for start in range(0, len(texts), _ROWS_A_CALL):
            progress(start / len(texts), doing)
            rows = self.encoder.encode(texts[start : start + _ROWS_A_CALL])
            parts.append(_finite(self.sandbox.answer(rows)))
        return np.concatenate(parts)

    def probe(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.int32], Numbers]:
        """Return some encoded texts and their answers, once these have proved to be sound.

        Among the rows are the highest id and a row without padding.
        """
        rows = self.encoder.encode(texts[:_PROBED_TEXTS])
        full = np.full((2, rows.shape[1]), self.encoder.padding_id, np.int32)
        full[0], full[1, 0] = self.vocabulary_size - 1, self.vocabulary_size - 1
        rows = np.concatenate([rows, full])
        found = self.sandbox.answer(rows)
        if found.shape != (len(rows), len(self.labels)):
            raise ModelRefused(
                f"the model answers {len(rows)} texts with numbers of the shape {found.shape}",
                f"({len(rows)}, {len(self.labels)}): one number for each of the labels",
            )
        self._check_alone(rows, _finite(found))
        return rows, found

    def _check_alone(self, rows: npt.NDArray[np.int32], together: Numbers) -> None:
        """Check that a row's answer hardly depends on its batch."""
        scale = max(1.0, float(np.abs(together).max()))
        for number in range(_ALONE):
            alone = self.sandbox.answer(rows[number : number + 1])
            difference = float(np.abs(alone - together[number]).max(initial=0.0))
            if alone.shape[0] != 1 or difference > _BATCH_TOLERANCE * scale:
                raise ModelRefused(
                    f"the model answers a text alone differently, by {difference:.2g}, from the "
                    f"same text among {len(rows)}",
                    "answers that do not depend on the batch: export with more than one row",
                )

    def targets(self, rows: LabeledTexts) -> npt.NDArray[np.int64]:
        """Return the indices of labels; -1 for one that the model does not have."""
        index = {label: number for number, label in enumerate(self.labels)}
        return np.array([index.get(label, -1) for label in rows.labels], np.int64)


def imported(
    opened: OpenedModel, data: TrainingData, precision: float | None, progress: Progress
) -> ImportedModel:
    """Check, calibrate, wrap and measure a model.

    Args:
        opened: the model.
        data: the temperature is fitted on its validation rows; the measures are of its test rows.
        precision: the task's `abstain_for_precision`.
        progress: receives the fraction done; what it raises ends the work.

    Raises:
        ModelRefused: the model does not fit, or fails.
    """
    progress(0.0, "probing the model")
    rows, raw = opened.probe(data.train.texts)
    are_probabilities = _are_probabilities(raw)
    held_out = _first(data.validation, CALIBRATION_ROWS)
    outputs = opened.answer(held_out.texts, part(progress, 0.05, 0.4), "calibrating")
    logits, targets = _logits(outputs, are_probabilities), opened.targets(held_out)
    temperature = fit_temperature(logits[targets >= 0], targets[targets >= 0])
    calibration = Calibration(are_probabilities, temperature, len(opened.labels))
    content = opened.sandbox.wrap(calibration)
    wrapped = softmax(_logits(raw, are_probabilities) / temperature, axis=1)
    _check_wrapped(wrapped, opened.sandbox.answer(rows))
    test = opened.answer(data.test.texts, part(progress, 0.4, 1.0), "measuring")
    judged, below = opened.targets(data.test), 0.0
    if precision is not None:
        answers = np.concatenate([softmax(logits / temperature, axis=1), test])
        below = find_threshold(answers, np.concatenate([targets, judged]), precision)
    return _measured(opened, (content, temperature), test, judged, below)


def _measured(
    opened: OpenedModel,
    wrapped: tuple[bytes, float],
    test: Numbers,
    judged: npt.NDArray[np.int64],
    abstain_below: float,
) -> ImportedModel:
    """Return a wrapped model, its temperature and its answers to the test rows as a value."""
    content, temperature = wrapped
    return ImportedModel(
        content=content,
        labels=opened.labels,
        tokenizer=opened.tokenizer,
        encoder=opened.encoder,
        vocabulary_size=opened.vocabulary_size,
        temperature=temperature,
        test_measures=evaluate(test, judged),
        test_probabilities=test,
        reliability=reliability(test, judged),
        abstain_below=abstain_below,
    )


def _logits(outputs: Numbers, are_probabilities: bool) -> Numbers:
    return np.log(np.maximum(outputs, SMALLEST)) if are_probabilities else outputs


def _finite(answers: Numbers) -> Numbers:
    """Return answers if all are finite numbers.

    Raises:
        ModelRefused: some are not.
    """
    if wrong := int((~np.isfinite(answers)).any(axis=1).sum()):
        what = (
            f"the model answers {wrong:,} of {counted(len(answers), 'text')} with NaN or infinity"
        )
        raise ModelRefused(what, "finite numbers")
    return answers


def _first(rows: LabeledTexts, most: int) -> LabeledTexts:
    return LabeledTexts(rows.texts[:most], rows.labels[:most])


def _are_probabilities(outputs: Numbers) -> bool:
    """Return whether outputs are probabilities; they are logits otherwise.

    Raises:
        ModelRefused: they lie in [0, 1], as neither does: a sigmoid for each label, say.
    """
    if outputs.min() < 0 or outputs.max() > 1:
        return False
    sums = outputs.sum(axis=1)
    if np.abs(sums - 1).max() > _SUM_TOLERANCE:
        raise ModelRefused(
            f"the model's outputs lie between 0 and 1 and add up to {sums.min():.2f} to "
            f"{sums.max():.2f}",
            "logits, or probabilities that add up to 1: one label a text",
        )
    return True


def _check_wrapped(expected: Numbers, found: Numbers) -> None:
    difference = float(np.abs(expected - found).max())
    if not difference <= TOLERANCE:
        what = f"the wrapped model differs by {difference:.2g} from the model"
        raise ModelRefused(what, f"at most {TOLERANCE:.0e}")
