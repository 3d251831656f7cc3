"""The gates: one file for each, or for a few that belong together; `registry.py` lists them."""
