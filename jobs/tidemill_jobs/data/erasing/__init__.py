"""Texts that must go: erased on request, or expired."""
