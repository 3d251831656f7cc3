"""Last stage: an immutable dataset version on disk."""
