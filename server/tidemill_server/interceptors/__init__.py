"""Handling that every call of every service shares."""
