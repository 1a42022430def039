"""Training of a classifier: the same settings and data give the same weights."""
