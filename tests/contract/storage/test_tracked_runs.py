"""Where trainings can be seen."""

from tidemill_core.storage.storage import Storage


def test_a_version_has_a_link_for_each_tracker(storage: Storage) -> None:
    """The last link of a tracker counts, and other versions and tasks have their own."""
    runs = storage.tracked_runs
    assert runs.links("support", 1) == {}
    for link in ("first", "second"):
        runs.link("support", 1, "wandb", link)
    runs.link("support", 1, "mlflow", "/runs/1")
    runs.link("support", 2, "mlflow", "/runs/2")
    assert runs.links("support", 1) == {"mlflow": "/runs/1", "wandb": "second"}
    assert runs.links("other", 1) == {}
