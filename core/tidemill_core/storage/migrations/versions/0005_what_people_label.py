"""Items for people to label, and their judgements."""

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Apply."""
