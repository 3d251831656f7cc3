"""What a dataset version's manifest says, and what was erased."""

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Apply."""
