"""Labels for texts without one, from the workspace's labeling functions."""
