"""From a trained model to a champion: publish, load, gate, promote."""
