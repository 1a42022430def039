"""Radiographs from image files of any form: formats, grey values and faults."""
