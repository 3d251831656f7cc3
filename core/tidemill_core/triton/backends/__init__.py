"""Triton's Python-based backends: `<name>/model.py` is copied beside the embedded server."""
