"""The section of a task's labels in `tidemill.toml`."""

from pydantic import field_validator, model_validator

from tidemill_core.domain.label_names import check_renames
from tidemill_core.settings.section import Section


class LabelNames(Section):
    """Labels of a task that its rows do not have, and new names of labels."""

    add: list[str] = []
    """Labels that feedback may give before a model has them."""
    rename: dict[str, str] = {}
    """New names of labels by old names. Labels that get the same name are merged."""

    @field_validator("add")
    @classmethod
    def _clean(cls, names: list[str]) -> list[str]:
        return [_label(name) for name in names]

    @field_validator("rename")
    @classmethod
    def _lead_to_current_names(cls, names: dict[str, str]) -> dict[str, str]:
        renames: dict[str, str] = {}
        for given, target in names.items():
            old, new = _label(given), _label(target)
            if renames.setdefault(old, new) != new:
                raise ValueError(f"{old!r} is renamed both to {renames[old]!r} and to {new!r}")
        check_renames(renames)
        return renames

    @model_validator(mode="after")
    def _add_no_old_name(self) -> "LabelNames":
        for label in self.add:
            if label in self.rename:
                raise ValueError(f"add has {label!r}, which is renamed to {self.rename[label]!r}")
        return self

    def accepted(self) -> frozenset[str]:
        """Return the labels that callers may give even if no model has them."""
        return frozenset([*self.add, *self.rename, *self.rename.values()])


def _label(name: str) -> str:
    """Return a name in the form that labels have in datasets."""
    # The import is slow, and most tasks have no such section.
    from tidemill_core.text import control_character, is_blank
    from tidemill_core.text_repair import repair

    label = repair(name)
    if is_blank(label):
        raise ValueError(f"{name!r} is not a label: it has no visible character")
    if (found := control_character(label)) is not None:
        raise ValueError(
            f"{label!r} is not a label: it has the control character U+{ord(found):04X}"
        )
    return label
