"""Tidemill's terms and rules, on the standard library alone."""
