"""Numbers of things, in words."""


def counted(number: float, noun: str) -> str:
    """Return a number of things: `1 row`, `2,000 rows`, `0.5 calls`."""
    return f"{number:,.15g} {noun}{'' if number == 1 else 's'}"
