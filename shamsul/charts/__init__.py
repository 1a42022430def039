"""Figures and tables of a paper, drawn from a run's tables (`shamsul figures`)."""
