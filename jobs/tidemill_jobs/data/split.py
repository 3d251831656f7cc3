"""Third stage: give each example its side of the split, which its text alone decides.

Validation and test hold examples of the source only. Feedback is about what the champion
answered, and is mostly given where it was wrong: any challenger would win on it. So feedback
trains and never judges, and where its text lies on a held-out side it is LEFT_OUT_HELD_OUT.
"""

from tidemill_core.domain.example import Example, LabelSource, QuarantinedRow
from tidemill_core.domain.split import Split, content_hash, split_of
from tidemill_jobs.data.rows import PlacedExample, set_aside


def place(example: Example) -> PlacedExample | QuarantinedRow:
    """The example on its side of the split; feedback on a held-out side is set aside."""
    text_hash = content_hash(example.text)
    split = split_of(text_hash)
    if example.label_source is LabelSource.FEEDBACK and split is not Split.TRAIN:
        return set_aside(example.origin, "LEFT_OUT_HELD_OUT", example.text)
    return PlacedExample(example, text_hash, split)
