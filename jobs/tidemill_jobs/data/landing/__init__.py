"""First stage: rows of sources land in immutable segments."""
