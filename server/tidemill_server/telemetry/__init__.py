"""What the front tells of itself: metrics, traces and an access log."""
