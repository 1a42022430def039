"""The HTML report; needs no torch."""
