"""The release of a trained model: publish, load, judge, promote."""
