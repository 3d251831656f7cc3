"""First stage: what a source gives lands in immutable segments."""
