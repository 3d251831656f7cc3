"""A benchmark of building dataset versions: time and memory."""
