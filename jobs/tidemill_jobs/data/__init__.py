"""From sources and feedback to an immutable dataset version.

`build` runs the stages in the order that data takes: `sources`, `landing`, `preparing`, `deciding`,
`publishing`. Each row that came in ends in the version or in its quarantine, with the rule it
broke, so every row is accounted for. `rebuild` makes a version's rows again; `erasing` takes texts
out of all of it.
"""
