"""The replay of a dated dataset through a stack of its own."""
