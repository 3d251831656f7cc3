"""A database as a source: a table or a query."""
