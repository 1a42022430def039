"""The notebook runs from its first cell to its last, and scores what it says."""

from __future__ import annotations

import runpy

import pytest
import torch

from shamsul.explain import registry
from shamsul.job.fingerprint import PROJECT

NOTEBOOKS = sorted((PROJECT / "docs" / "notebooks").glob("*.py"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_cells_and_words(notebook):
    text = notebook.read_text()
    assert text.count("\n# %%\n") >= 3 and text.count("\n# %% [markdown]\n") >= 3


def test_four_methods_are_scored_on_one_radiograph(capsys):
    (notebook,) = NOTEBOOKS
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        made = runpy.run_path(str(notebook))
    finally:
        torch.set_num_threads(threads)
    printed = capsys.readouterr().out
    assert len(made["scores"]) == 4 and set(made["scores"]) <= set(registry.methods())
    for name, found in made["scores"].items():
        assert name in printed and 0 <= found["iou"] <= 1
    # The network has learned something: it ranks unseen phantoms better than chance.
    model, seen = made["model"], made["unseen"]
    logits = model.predict(model.normalise(seen))[:, 0]
    shown = torch.tensor([mask is not None for mask in made["its_masks"]])
    pairs = logits[shown][:, None] > logits[~shown][None]
    assert pairs.float().mean() > 0.6
    assert made["scores"]["grad_cam"]["auroc"] > 0.5


def test_jupyter_reads_it():
    jupytext = pytest.importorskip("jupytext")
    for notebook in NOTEBOOKS:
        cells = jupytext.read(notebook).cells
        assert {cell.cell_type for cell in cells} == {"code", "markdown"}
