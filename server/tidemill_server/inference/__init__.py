"""The path from a request to its answer, independent of gRPC."""
