"""Benchmarks of the monitoring."""
