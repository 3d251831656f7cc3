"""Benchmarks of training on BANKING77."""
