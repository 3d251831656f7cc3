"""What users said, on its way back into training.

`examples` turns verdicts into examples; `check` is the job that starts a retraining at enough.
`queue` is the job that chooses what people are asked to label; `labels` turns what they decided
into examples.
"""
