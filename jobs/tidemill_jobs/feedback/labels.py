"""Examples from people's labels."""

from tidemill_core.domain.example import Example, LabelSource
from tidemill_core.domain.labeling import LabelItem, LabelReason
from tidemill_core.storage.storage import Storage


def label_examples(storage: Storage, task: str) -> tuple[Example, ...]:
    """Return an example for each text of a task whose label people decided; not cleaned yet.

    `origin` and `key` are the id of the label item, `annotator` names everyone who judged it, and
    `time` is when it was decided.

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
        # Texts that were chosen for another reason are difficult ones, or train already.
        judges=item.reason is LabelReason.AUDIT,
    )
