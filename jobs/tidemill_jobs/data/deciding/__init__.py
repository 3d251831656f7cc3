"""Third stage: the decision to keep or exclude each row."""
