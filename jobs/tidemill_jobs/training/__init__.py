"""From a dataset version to an exported, calibrated model."""
