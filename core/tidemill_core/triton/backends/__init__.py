"""Triton's Python-based backends: `<name>/model.py` is copied next to the embedded server."""
