"""Everything that Tidemill remembers: one module a table group, SQLite or PostgreSQL."""
