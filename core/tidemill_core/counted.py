"""Numbers of things, in words."""


def counted(number: int, noun: str) -> str:
    """Return a number of things: `1 row`, `2,000 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
