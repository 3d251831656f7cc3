"""The checks of the champion: `drift`, `accuracy` and `latency`.

Each writes a report through `reporting`, which raises or resolves the alert (`alerts`).
The package `drift` also counts the answers of a new version, which drift is measured against.
"""
