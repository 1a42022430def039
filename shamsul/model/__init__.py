"""The classifier: backbones, training, checkpoints and prediction."""
