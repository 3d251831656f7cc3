"""The settings that a dataset version is built by."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tidemill_core.domain.label_names import Renames
from tidemill_jobs.data.preparing.clean import Cleaning


@dataclass(frozen=True)
class Recipe:
    """What decides on a task's rows, beside the rows and the labeling functions.

    Attributes:
        cleaning: how texts and labels are cleaned.
        near_duplicate_similarity: from which on two texts are nearly the same; 1 looks for none.
        rename: new names of labels by their old ones.
    """

    cleaning: Cleaning
    near_duplicate_similarity: float
    rename: Renames = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Recipe":
        """Return the recipe of a task's settings by name, or of those that a manifest keeps.

        Raises:
            KeyError: a setting is missing.
        """
        similarity, rename = settings["near_duplicate_similarity"], settings.get("rename", {})
        return cls(Cleaning.of(settings), similarity, rename)

    def settings(self) -> dict[str, Any]:
        """Return the settings by name, as a manifest keeps them."""
        return {
            **asdict(self.cleaning),
            "near_duplicate_similarity": self.near_duplicate_similarity,
            "rename": dict(sorted(self.rename.items())),
        }
