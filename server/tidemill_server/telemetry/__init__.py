"""The front's metrics, traces and access log."""
