"""The watched rollout of a version: a sequential test, a decision, and the job that applies it."""
