"""From sources and feedback to an immutable dataset version.

In the order that data takes: `sources`, `clean`, `split`, `deduplicate`, `dataset`; `build`
strings them together. Each stage returns the examples that it passes on and the rows that it
set aside with the rule they broke, so that every row that came in is accounted for.
"""
