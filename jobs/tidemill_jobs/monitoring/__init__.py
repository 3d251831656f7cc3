"""The checks of the champion: `drift`, `accuracy` and `latency`.

Each writes a report through `reporting`. `reference` counts the answers of a new version, which
drift is measured against.
"""
