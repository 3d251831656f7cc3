"""How quickly rows become a dataset version, and how much memory that takes."""
