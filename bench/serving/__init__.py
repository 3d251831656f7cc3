"""Benchmarks of serving: against peers, over time, and on bad days."""
