"""Datasets: from sources and feedback to an immutable dataset version.

`build` runs the stages in the order of the data: `sources`, `landing`, `preparing`, `deciding`,
`publishing`. Each ingested row ends in the version or, with the rule that excluded it, in its
quarantine, so every row is accounted for. `rebuild` restores a version's rows; `erasing` removes
texts from all of it.
"""
