"""The refusal of a model that does not fit its task."""

from tidemill_core.errors import DataError


class ModelRefused(DataError):
    """An imported model that cannot become a version; says what was found and what is expected."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__("MODEL_REFUSED", f"{found}; expected {expected}")
