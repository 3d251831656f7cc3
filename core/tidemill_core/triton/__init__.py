"""Triton: its configuration, the embedded server, model control and inference."""
