"""The advice to install a missing extra."""


def installation(extras: str) -> str:
    """Return how to install some of Tidemill's extras, such as `server,jobs`."""
    return f"run `pip install -c constraints.txt '.[{extras}]'` in Tidemill's clone"
