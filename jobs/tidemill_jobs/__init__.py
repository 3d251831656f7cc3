"""Tidemill's scheduled batch jobs: one folder a stage of the loop."""
