"""Third stage: what becomes of each row."""
