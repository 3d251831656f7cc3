"""What Tidemill writes holds users' texts: it is for its own user alone."""

import os


def keep_files_private() -> None:
    """Make files and folders of this process, and of those it starts, unreadable to others."""
    os.umask(0o077)
