"""Explanations of chest-radiograph classifiers, scored against radiologists.

Data runs one way: ``data -> model -> explain -> evaluate -> report``. Importing this package
imports none of them.
"""

__version__ = "0.1.0"
