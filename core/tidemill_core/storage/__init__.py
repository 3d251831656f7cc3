"""Storage in SQLite or PostgreSQL: one module for each group of tables."""
