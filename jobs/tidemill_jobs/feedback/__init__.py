"""The way of feedback and of people's labels into training.

`examples` turns verdicts into examples, and `labels` people's decisions. Three modules are jobs:
`check` starts retrainings, `label_requests` asks people to label predictions, and `label_errors`
finds labels that may be wrong.
"""
