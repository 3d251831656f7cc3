"""Tidemill's terms and rules; imports the standard library only."""
