"""The console: pages for people, made by the server, over the same pipeline as gRPC and REST."""
