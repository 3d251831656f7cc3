"""What the front must survive, done to a running stack, and what came of it."""
