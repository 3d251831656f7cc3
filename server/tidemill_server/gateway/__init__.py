"""The HTTP API: JSON in and out, over the same pipeline and services as gRPC."""
