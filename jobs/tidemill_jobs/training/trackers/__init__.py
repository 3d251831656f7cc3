"""The trackers: a file for each, which sends recorded runs to it."""
