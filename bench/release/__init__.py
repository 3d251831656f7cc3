"""Benchmarks of the gates."""
