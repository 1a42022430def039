"""CheXlocalize's own protocol: its thresholds, resampling and human benchmark; no torch."""
