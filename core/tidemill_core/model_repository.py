"""The model repository: version folders that are complete or missing.

    model_repository/support-onnx/config.pbtxt
    model_repository/support-onnx/3/{model.onnx, tokenizer.json, manifest.json}

A version folder is written beside the others of its model, under a name that is no number, and
then renamed. Triton ignores such names there; in the repository, it takes each folder for a model.
"""

import hashlib
import json
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tidemill_core.domain.model import MODEL_FILES, model_name
from tidemill_core.durable import STAGED, move_folder, sha256_of, write_durably
from tidemill_core.errors import DataError
from tidemill_core.settings import Settings
from tidemill_core.stored_models import (
    MANIFEST_FILE,
    TOKENIZER_FILE,
    ModelVersionExists,
    ModelVersionMissing,
    StoredModels,
)
from tidemill_core.text import TextEncoder
from tidemill_core.text_repair import TextRepair


@dataclass(frozen=True)
class Reference:
    """A version's answers on its hold-out, against which drift is measured.

    Attributes:
        label_counts: predictions by label, in the order of the manifest's labels.
        confidence_counts: predictions by confidence, in the bins of `domain.signals`.
        text_length_counts: predictions by text length; empty if it was not measured.
        unknown_piece_counts: predictions by unknown pieces; empty if they were not measured.
    """

    label_counts: tuple[int, ...]
    confidence_counts: tuple[int, ...]
    text_length_counts: tuple[int, ...] = ()
    unknown_piece_counts: tuple[int, ...] = ()


@dataclass(frozen=True)
class TrainingRecord:
    """How a version was trained: with its dataset version, all that is needed to train it again.

    Attributes:
        network: the name of the network.
        seed: of every random choice.
        threads: CPU threads.
        hyperparameters: all of the network's.
        weights: SHA-256 of the weights and the temperature, in hex.
        int8: whether the weights are rounded to int8.
        audits: audits by label whose class shares the model follows; empty if it follows none.
        odds: the factor of each label's probability that follows from them; empty for 1.
    """

    network: str
    seed: int
    threads: int
    hyperparameters: Mapping[str, int | float]
    weights: str
    int8: bool = False
    audits: Mapping[str, float] = field(default_factory=dict)
    odds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ReliabilityBin:
    """Hold-out rows whose confidence lies in one of the equal bins over [0, 1].

    Attributes:
        n: the number of rows.
        confidence: their mean confidence; 0 without rows.
        accuracy: the share of right labels among them; 0 without rows.
    """

    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class ModelManifest:
    """The description of a version folder.

    Attributes:
        task: the task.
        version: number within the task.
        model_format: `onnx` or `torchscript`.
        labels: in the order of the model's output.
        sequence_length: token ids in a row.
        vocabulary_size: token ids lie in [0, vocabulary_size).
        temperature: calibrates the model; it is already in the graph.
        measures: on the hold-out, in [0, 1]: accuracy, macro_f1, expected_calibration_error;
            and n, the hold-out's rows.
        reference: for drift.
        dataset_version: the dataset version that it was trained on.
        run_id: the job run that created it.
        create_time: ISO 8601.
        files: SHA-256 of each other file, in hex.
        text_repair: applied to the training texts, and to texts in serving.
        training: how it was trained; None if that was not recorded.
        reliability: how well confidence and accuracy agree on the hold-out; empty if unknown.
        abstain_below: the confidence below which its predictions are less precise than the task's
            `abstain_for_precision`; above 1 if they all are, 0 without such a target.
    """

    task: str
    version: int
    model_format: str
    labels: tuple[str, ...]
    sequence_length: int
    vocabulary_size: int
    temperature: float
    measures: Mapping[str, float]
    reference: Reference
    dataset_version: str
    run_id: str
    create_time: str
    files: Mapping[str, str] = field(default_factory=dict)
    text_repair: TextRepair = field(default_factory=TextRepair)
    training: TrainingRecord | None = None
    reliability: tuple[ReliabilityBin, ...] = ()
    abstain_below: float = 0.0


class ModelRepository:
    """The folder that Triton reads models from.

    Args:
        root: the folder; created if missing.
        stored: the copies of its versions; a version that is not here is fetched from them.
    """

    def __init__(self, root: Path, stored: StoredModels | None = None) -> None:
        self.root = root
        self.stored = stored

    @classmethod
    def of(cls, settings: Settings) -> "ModelRepository":
        """Return that of a workspace."""
        return cls(settings.model_repository, StoredModels.of(settings))

    @classmethod
    def of_front(cls, settings: Settings) -> "ModelRepository":
        """Return that of a front, which keeps the files that it fetches in its state directory."""
        return cls(settings.model_repository, StoredModels.of_front(settings))

    def folder(self, task: str, model_format: str, version: int) -> Path:
        """Return the folder of a version."""
        name = Path(model_name(task, model_format), str(version))
        folder = self.root / name
        return folder if self.stored is None or folder.exists() else self.stored.root / name

    def publish(self, manifest: ModelManifest, model: bytes, tokenizer: str) -> Path:
        """Write a version folder completely or not at all.

        Raises:
            DataError: the version exists already; versions never change.
        """
        target = self.folder(manifest.task, manifest.model_format, manifest.version)
        if target.exists():
            raise ModelVersionExists(target)
        contents = {MODEL_FILES[manifest.model_format]: model, TOKENIZER_FILE: tokenizer.encode()}
        files = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
        described = {**asdict(manifest), "files": files}
        contents[MANIFEST_FILE] = json.dumps(described, indent=2, ensure_ascii=False).encode()
        staged = target.with_name(f"{STAGED}{uuid.uuid4().hex}")
        staged.mkdir(parents=True)
        try:
            for name, data in contents.items():
                write_durably(staged / name, data)
            if not move_folder(staged, target):
                raise ModelVersionExists(target)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        return target

    def manifest(self, task: str, model_format: str, version: int) -> ModelManifest:
        """Return the manifest of a version.

        Raises:
            DataError: the manifest is missing or cannot be read.
        """
        folder = self.folder(task, model_format, version)
        if self.stored is not None:
            self.stored.fetch(folder)
        path = folder / MANIFEST_FILE
        try:
            return _manifest(json.loads(path.read_bytes()))
        except OSError as error:
            raise ModelVersionMissing(path, error.strerror or str(error)) from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError("MANIFEST_DAMAGED", f"{path} is damaged: {error}") from error

    def encoder(self, task: str, model_format: str, version: int) -> TextEncoder:
        """Return the encoder that turns texts into a version's input, as in its training.

        Raises:
            DataError: its manifest or its tokenizer is missing or cannot be read.
        """
        manifest = self.manifest(task, model_format, version)
        tokenizer = self.folder(task, model_format, version) / TOKENIZER_FILE
        return TextEncoder(tokenizer, manifest.sequence_length, manifest.text_repair)

    def damage(self, task: str, model_format: str, version: int) -> str | None:
        """Return what is wrong with a version's files, by their SHA-256; None if nothing."""
        folder = self.folder(task, model_format, version)
        try:
            files = self.manifest(task, model_format, version).files
        except DataError as error:
            return str(error)
        for name, expected in files.items():
            path = folder / name
            if not path.is_file():
                return f"{path} is missing"
            if sha256_of(path) != expected:
                return f"{path} differs from the published file: its SHA-256 is different"
        return None


def _manifest(values: dict[str, Any]) -> ModelManifest:
    reference = {name: tuple(counts) for name, counts in values.pop("reference").items()}
    # A manifest without a repair is older than the second version of the repair.
    repair = values.pop("text_repair", {"version": 1, "redact": ()})
    training = values.pop("training", None)
    return ModelManifest(
        labels=tuple(values.pop("labels")),
        reference=Reference(**reference),
        text_repair=TextRepair(repair["version"], tuple(repair["redact"])),
        training=training and TrainingRecord(**training),
        reliability=tuple(ReliabilityBin(**each) for each in values.pop("reliability", ())),
        **values,
    )
