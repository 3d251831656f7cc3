"""A database as a source: a table, or what a query finds."""
