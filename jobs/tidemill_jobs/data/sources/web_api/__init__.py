"""A web API as a source: JSON over HTTP, page by page."""
