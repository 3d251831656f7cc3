"""Is the champion still what it was? One check a module: `drift`, `accuracy`, `latency`.

Each writes a report about the champion through `reporting`. `reference` counts what a version
answered when it was new, which drift is measured against.
"""
