"""Segmentations, scores and statistics of heatmaps; needs no torch."""
