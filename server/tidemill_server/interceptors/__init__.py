"""What holds for every call of every service."""
