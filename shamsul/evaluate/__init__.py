"""From heatmaps to segmentations, scores and statistics; needs no torch."""
