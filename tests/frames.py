"""Rows that the product's functions return, as tables to look things up in."""

import pandas as pd

from shamsul.evaluate import scores
from shamsul.probe import table as probes


def frame(rows, columns):
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)


def score(heatmaps, frames, masks, *rest):
    """Scores and signs of `shamsul.evaluate.scores.score`; `masks` is a table."""
    found, signs = scores.score(heatmaps, frames, masks.to_dict("records"), *rest)
    return frame(found, scores.COLUMNS), frame(signs, scores.SIGN_COLUMNS)


def probe(*arguments):
    return frame(probes.probe(*arguments), probes.COLUMNS)
