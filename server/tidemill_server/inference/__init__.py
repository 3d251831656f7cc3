"""From a request to its answer, knowing nothing of gRPC."""
