"""Radiographs from image files that nobody has looked at before: formats, grey values and faults."""
