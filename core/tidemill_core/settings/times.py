"""The longest times of settings: a date that far back must still exist."""

MOST_HOURS = 8_784
"""A year."""
MOST_DAYS = 36_600
"""A century."""
