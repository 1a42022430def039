"""Explanation methods, one module per family, and the registry that finds them by name."""
