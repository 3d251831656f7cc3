"""Removal of texts: on request, or when they expire."""
