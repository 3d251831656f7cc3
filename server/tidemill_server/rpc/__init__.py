"""What holds for every call, whichever transport carries it."""
