"""What people decided about texts, turned into examples that a model can learn from."""

from tidemill_core.domain.example import Example, LabelSource
from tidemill_core.domain.labeling import LabelItem, LabelReason
from tidemill_core.storage.storage import Storage


def label_examples(storage: Storage, task: str) -> tuple[Example, ...]:
    """Make an example of each text of a task that people decided; not cleaned yet.

    `origin` and `key` are the label item's id, `annotator` names all who judged it, and `time` is
    when it was decided.

    Raises:
        StorageUnavailable: the database cannot be read.
    """
    return tuple(map(_example, storage.label_items.decided(task)))


def _example(item: LabelItem) -> Example:
    return Example(
        text=item.text,
        label=item.label,
        label_source=LabelSource.HUMAN,
        origin=item.label_item_id,
        key=item.label_item_id,
        annotator=", ".join(sorted(judgement.annotator for judgement in item.judgements)),
        time=item.resolve_time,
        # What was chosen for another reason is what a model does badly, or a row that trains.
        judges=item.reason is LabelReason.AUDIT,
    )
