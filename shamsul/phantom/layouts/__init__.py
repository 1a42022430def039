"""Phantoms as trees in the layouts of published data sets, each with its own formats and traps."""
