"""The stack of docker-compose.yml, built and run for real: `make compose-test`."""
