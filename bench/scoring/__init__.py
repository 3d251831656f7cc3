"""Benchmarks of batch scoring."""
