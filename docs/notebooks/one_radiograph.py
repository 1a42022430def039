# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # One radiograph, four methods
#
# We explain a network on one radiograph by four methods and score each heatmap against a mask.
#
# Two things are made up, so that this runs anywhere in seconds: the radiographs are *phantoms*,
# drawn by a program that knows where each finding is, and the network learns from only 96 of them.
# It ranks radiographs with an effusion above others more often than not. Read the numbers as an
# example of how to score, and not as a finding about the methods.

# %%
import numpy as np
import torch

import shamsul
from shamsul.phantom.patients import studies
from shamsul.phantom.radiograph import render

SIZE = 64
FINDING = "Pleural Effusion"

# %% [markdown]
# ## Radiographs
#
# `render` draws a study: `image` is (height, width) uint8, `masks` has a mask of each finding.


# %%
def drawn(first: int, last: int) -> tuple[np.ndarray, list[np.ndarray | None]]:
    """Draw the first study of each patient: radiographs, and the finding's masks."""
    images, masks = [], []
    for number in range(first, last):
        radiograph = render(1, studies(1, f"patient{number:05d}")[0], height=96)
        image = torch.from_numpy(radiograph.image)[None, None].float()
        small = torch.nn.functional.interpolate(image, (SIZE, SIZE), mode="area")
        images.append(small[0, 0].round().byte().numpy())
        masks.append(radiograph.masks.get(FINDING))
    return np.array(images), masks


images, masks = drawn(1, 97)
labels = torch.tensor([[float(mask is not None)] for mask in masks])
print(f"{int(labels.sum())} of {len(labels)} radiographs show {FINDING}")

# %% [markdown]
# ## A classifier
#
# `shamsul.classifier` takes any network, by name or in memory, or a checkpoint. Here a small
# DenseNet with random weights sees the 96 phantoms eight times.

# %%
model = shamsul.classifier("densenet_small", [FINDING], size=SIZE)
network = model.network
optimiser = torch.optim.AdamW(network.parameters(), lr=0.003)
order = torch.Generator().manual_seed(0)
network.train()
for _ in range(8):
    for batch in torch.randperm(len(images), generator=order).split(16):
        logits = model(model.normalise(images[batch.numpy()]))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
network.eval()
print(f"loss of the last batch: {loss.item():.2f}")

# %% [markdown]
# ## Four heatmaps
#
# The radiograph is one that the network has not seen. `shamsul.explain` takes uint8 radiographs, a
# method's name and its parameters (`shamsul methods lime` lists them), and returns a heatmap for
# each radiograph and class, at the method's own resolution.

# %%
unseen, its_masks = drawn(90_001, 90_061)
chosen = next(number for number, mask in enumerate(its_masks) if mask is not None)
radiograph, mask = unseen[chosen], its_masks[chosen]
probability = torch.sigmoid(model.predict(model.normalise(radiograph[None]))).item()
print(f"probability of {FINDING}: {probability:.2f}")

METHODS = {
    "grad_cam": {},
    "lrp_epsilon": {"epsilon": 0.1},
    "lime": {"samples": 100, "segments": 20},
    "random": {},
}
heatmaps = {
    name: shamsul.explain(model, radiograph, name, classes=[FINDING], seed=1, **parameters)[0, 0]
    for name, parameters in METHODS.items()
}

# %% [markdown]
# ## Scores
#
# `shamsul.score` brings a heatmap to the mask's own pixels and measures both: the overlap with the
# part above Otsu's threshold (`iou`), whether the most relevant pixel lies in the mask
# (`hit_rate`), and how well relevance ranks the pixels (`auroc`; 0.5 is chance). `random` is the
# control: a method that is no better than it has shown nothing. It is one draw, and one draw can be
# lucky; so is a score on one radiograph.

# %%
scores = {name: shamsul.score(heatmap, mask) for name, heatmap in heatmaps.items()}
print(f"{'method':<12}{'maps':>9}{'iou':>8}{'hit':>6}{'auroc':>8}")
for name, found in scores.items():
    shape = "{} x {}".format(*heatmaps[name].shape)
    print(f"{name:<12}{shape:>9}{found['iou']:8.2f}{found['hit_rate']:6.2f}{found['auroc']:8.2f}")

# %% [markdown]
# One radiograph decides nothing. `shamsul run` does this for every radiograph, class and method,
# with thresholds tuned on other radiographs, intervals over patients and paired tests.
