"""Labels for texts that came without one, by the workspace's labeling functions."""
