"""The page of an evaluation: its figures, classes, confusion matrix, reliability and errors."""

from tidemill_cli import html_page
from tidemill_cli.class_measures import classes_section
from tidemill_cli.evaluation_tables import Evaluation, fields_of, worst_errors
from tidemill_cli.model_page import confusion_matrix, confusions, reliability_plot


def page(found: Evaluation) -> str:
    """Return the page."""
    fields = {
        name: ", ".join(value) if isinstance(value, list) else value
        for name, value in fields_of(found).items()
    }
    bodies = [
        html_page.table(classes_section(found["classes"])),
        confusion_matrix(found["confusion"]),
        html_page.table(confusions(found["confusion"])),
        reliability_plot(found["reliability"]),
        html_page.table(worst_errors(found)),
    ]
    title = f"{found['task']}: evaluation of version {found['model_version']}"
    return html_page.page(title, fields, bodies)
