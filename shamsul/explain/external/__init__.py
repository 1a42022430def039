"""Maps and segmentations made elsewhere, and ours written for others."""
