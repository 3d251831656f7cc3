"""Benchmarks of serving: against peers, over time, and under failures."""
