"""One thin servicer a proto service: convert, call, convert."""
