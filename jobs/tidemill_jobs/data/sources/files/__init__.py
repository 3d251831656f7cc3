"""Files as a source: a file, a folder or a glob of CSV, JSON Lines or Parquet."""
