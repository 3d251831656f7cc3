"""A dataset version's description as one HTML page."""

from tidemill_cli import html_page
from tidemill_cli.dataset_description import Description, sections, summary

_REMOVED = '<p class="removed">Its rows were removed.</p>\n'


def page(version: Description) -> str:
    """Return the page."""
    title = f"{version['task']}: dataset version {version['dataset_version'][:12]}"
    removed = [_REMOVED] if version.get("rows_removed") else []
    return html_page.page(
        title, summary(version), [*removed, *map(html_page.table, sections(version))]
    )
