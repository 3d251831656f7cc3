"""The job `check_drift`: whether the champion's predictions still look like those on its hold-out.

    check            the job: measures all signals, and writes the report
    reference        counts a new version's answers to its hold-out, for its manifest
    shift            the distance of two samples, and how likely chance makes it
    signals          a signal's shift, its shares and its examples
    texts            what a sample of stored texts shows
    last_layer       a model without its last layer
    representation   what the model makes of texts, sorted into regions
    topics           unfamiliar texts that share words
    cost             what the drift costs in accuracy

docs/drift.md describes the report.
"""
