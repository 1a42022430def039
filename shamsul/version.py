"""The version, written once: packaging and `shamsul.__version__` read it here.

It is a module of its own because each job's digest contains `shamsul/__init__.py`: a release that
changes no code reruns nothing.
"""

__version__ = "0.1.0"
