"""Models that were made elsewhere: checked and wrapped in a confined process, then judged."""
