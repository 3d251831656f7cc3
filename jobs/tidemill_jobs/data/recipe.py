"""The settings that a dataset version is built by."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tidemill_jobs.data.preparing.clean import Cleaning


@dataclass(frozen=True)
class Recipe:
    """What decides on a task's rows, beside the rows and the labeling functions.

    Attributes:
        cleaning: how texts and labels are cleaned.
        near_duplicate_similarity: from which on two texts are nearly the same; 1 looks for none.
    """

    cleaning: Cleaning
    near_duplicate_similarity: float

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Recipe":
        """Return the recipe of a task's settings by name, or of those that a manifest keeps.

        Raises:
            KeyError: a setting is missing.
        """
        return cls(Cleaning.of(settings), settings["near_duplicate_similarity"])

    def settings(self) -> dict[str, Any]:
        """Return the settings by name, as a manifest keeps them."""
        similarity = self.near_duplicate_similarity
        return {**asdict(self.cleaning), "near_duplicate_similarity": similarity}
