"""What users said, on its way back into training.

`examples` turns verdicts into examples; `check` is the job that starts a retraining at enough.
"""
