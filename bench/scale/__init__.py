"""Benchmarks of large installations; each command prints a table."""
