"""A workspace in one file: its database, datasets, models and keys."""
