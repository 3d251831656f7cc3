"""The job `import_model`: from a model's files to a new champion, a rejection or a refusal."""

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from tidemill_core.counted import counted
from tidemill_core.domain.job import IMPORT_MODEL
from tidemill_core.domain.job_parameters import ImportModelParameters
from tidemill_core.domain.split import Split
from tidemill_core.errors import DataError
from tidemill_core.model_uploads import ImportFileKind, ModelUploads
from tidemill_core.text import TextEncoder
from tidemill_core.text_repair import TextRepair
from tidemill_jobs.context import JobContext, Result, part
from tidemill_jobs.data.build import build_for
from tidemill_jobs.data.publishing.dataset import read_dataset
from tidemill_jobs.importing.labels_file import read_labels, task_labels
from tidemill_jobs.importing.measure import ImportedModel, OpenedModel, imported
from tidemill_jobs.importing.refusal import ModelRefused
from tidemill_jobs.importing.sandbox import Sandbox
from tidemill_jobs.importing.tokenizer_file import read_tokenizer
from tidemill_jobs.release.candidate import Candidate
from tidemill_jobs.release.decide import reject_abandoned, rejected_on_failure, release
from tidemill_jobs.release.publish import highest_version, publish
from tidemill_jobs.release.slices import slices_of
from tidemill_jobs.training.dataset_rows import training_data
from tidemill_jobs.training.tokenizer import sequence_length


def run(context: JobContext) -> Result:
    """Check and wrap a model, publish and judge it, and promote it if it passes.

    Its files are removed at the end.

    Raises:
        ModelRefused: it does not fit the task; no version was made.
        DataError: its files are gone, or the task has no data to judge it on.
        TritonUnavailable: Triton stayed away during the trial; the candidate is REJECTED.
        RunCanceled: someone stopped the run; a candidate is REJECTED.
    """
    asked = context.parameters
    if not isinstance(asked, ImportModelParameters):
        raise DataError("NOTHING_TO_IMPORT", "start an import with `tidemill models import`")
    uploads = ModelUploads(context.settings.state_dir)
    try:
        return _import(context, asked, uploads.folder(asked.upload_id))
    finally:
        uploads.remove(asked.upload_id)


def _import(context: JobContext, asked: ImportModelParameters, folder: Path) -> Result:
    """Import a model whose labels and tokenizer can be read, in its confined process."""
    if not folder.is_dir():
        raise DataError("UPLOAD_GONE", "the model waited for too long: import it again")
    if context.task_settings.kind == "preference":
        raise ModelRefused("a task that learns from preference pairs", "a task with classes")
    if asked.format != (expected := context.task_settings.format):
        raise ModelRefused(f"the format {asked.format}", f"{expected}, the format of the task")
    model, tokenizer, listed = (folder / kind.file_name for kind in ImportFileKind)
    named = read_labels(listed.read_bytes())
    read = read_tokenizer(tokenizer.read_bytes(), named.padding_id)
    reject_abandoned(context.storage.models, context.task, context.clock())
    with Sandbox(model, asked.format, read.vocabulary) as sandbox:
        dataset = build_for(context, part(context.progress, 0.0, 0.1)).version
        rows = read_dataset(dataset.uri)
        data, names = training_data(rows), context.task_settings.labels
        known = {*dataset.label_counts, *names.accepted()}
        length = _length(asked, sandbox.fixed_length, read.tokenizer, data.train.texts)
        encoder = TextEncoder(
            read.tokenizer.to_str(), length, TextRepair(redact=tuple(context.task_settings.redact))
        )
        labels = task_labels(named.labels, known, set(data.train.labels), names.rename)
        opened = OpenedModel(sandbox, read.tokenizer, read.vocabulary.size, encoder, labels)
        precision = context.task_settings.abstain_for_precision
        made = imported(opened, data, precision, part(context.progress, 0.1, 0.9))
        candidate = _publish(context, opened, made, dataset.dataset_version, data.test.texts)
        return release(context, candidate, data, slices_of(rows.filter(split=str(Split.TEST))))


def _length(
    asked: ImportModelParameters, fixed: int | None, tokenizer: Tokenizer, texts: Sequence[str]
) -> int:
    """Return the ids in a row: the model's own, those asked for, or as many as the texts need."""
    if fixed is not None and asked.max_length not in (0, fixed):
        expected = f"--max-length {fixed}, or none"
        raise ModelRefused(f"the model takes rows of {counted(fixed, 'id')} only", expected)
    return fixed or asked.max_length or sequence_length(tokenizer, texts)


def _publish(
    context: JobContext,
    opened: OpenedModel,
    made: ImportedModel,
    dataset_version: str,
    held_out: Sequence[str],
) -> Candidate:
    """Publish a wrapped model as the task's next version."""
    models, task, form = context.storage.models, context.task, context.task_settings.format
    above = highest_version(context.repository, task)
    version = models.add_candidate(task, form, dataset_version, context.clock(), above)
    with rejected_on_failure(models, version, context.clock):
        context.progress(0.9, "publishing")
        repair, run_id = TextRepair(redact=tuple(context.task_settings.redact)), context.run_id
        publish(context.repository, version, made, made.content, repair, held_out, run_id)
    return Candidate(
        version=version,
        labels=made.labels,
        measures=made.test_measures,
        offline=opened.answer,
        made_by=IMPORT_MODEL,
    )
