"""File rights: files hold users' texts, so only Tidemill's own user may read them."""

import os


def keep_files_private() -> None:
    """Make new files of this process, and of those that it starts, unreadable to other users."""
    os.umask(0o077)
