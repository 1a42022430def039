"""The classifier: networks of any source, training, checkpoints and prediction."""
