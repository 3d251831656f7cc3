"""The settings of a task that determine a dataset version."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tidemill_core.domain.label_names import Renames
from tidemill_jobs.data.preparing.clean import Cleaning


@dataclass(frozen=True)
class Recipe:
    """The settings that decide on a task's rows, together with the labeling functions.

    Attributes:
        cleaning: how texts and labels are cleaned.
        near_duplicate_similarity: similarity from which two texts are near duplicates; 1 turns the
            search off.
        rename: new names of labels by their old ones.
    """

    cleaning: Cleaning
    near_duplicate_similarity: float
    rename: Renames = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Recipe":
        """Return the recipe for settings by name, of a task or of a manifest.

        Raises:
            KeyError: a setting is missing.
        """
        similarity, rename = settings["near_duplicate_similarity"], settings.get("rename", {})
        return cls(Cleaning.of(settings), similarity, rename)

    def settings(self) -> dict[str, Any]:
        """Return the settings by name, for a manifest."""
        return {
            **asdict(self.cleaning),
            "near_duplicate_similarity": self.near_duplicate_similarity,
            "rename": dict(sorted(self.rename.items())),
        }
