"""Triton backend `pytorch`."""
