"""A lesion in a known corner of a non-square radiograph, through prepare, explain, score and back.

The classifier is small enough to be known: its first feature map is what is bright, its second what
is of middling brightness; one class looks at each. So the true heatmap is known, and a heatmap on
the wrong class, a transposed axis or a shift of a few pixels is seen.
"""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from shamsul.data import images, masks
from shamsul.data.adapters.chexpert import ChexpertSource
from shamsul.data.settings import Data
from shamsul.evaluate.histogram_metrics import iou, otsu
from shamsul.explain.cam import GradCam, LayerCam
from shamsul.explain.gradient import InputXGradient
from shamsul.explain.kernel_shap import KernelShap
from shamsul.explain.occlusion import Occlusion
from shamsul.explain.surrogate import Lime, SuperpixelOcclusion
from shamsul.model.structure import FeatureLayer, Structure
from shamsul.storage.heatmaps import Heatmaps, read_heatmaps, write_heatmaps
from shamsul.storage.images import read_images, write_images
from tests.frames import score
from tests.prepared import prepare

HEIGHT, WIDTH, SIDE = 150, 240, 30
# (top, left): inside what a centre crop keeps (columns 45 to 195), and in opposite corners of it.
LESIONS = {"Lung Opacity": (8, 52), "Edema": (112, 158)}
BRIGHTNESS = {"Lung Opacity": 250, "Edema": 100}


class BrightAndMiddling(torch.nn.Module):
    """Logit of a class: how much of the image is bright, or of middling brightness."""

    def __init__(self, classes):
        super().__init__()
        self.classes = tuple(classes)
        self.size, self.batch_size, self.tile = 96, 16, 16
        self.maps = torch.nn.Identity()
        bright = torch.tensor([float(name == "Lung Opacity") for name in classes])
        self.choice = torch.stack([bright, 1 - bright])

    @property
    def network(self):
        return self

    @property
    def structure(self):
        return Structure(feature_layer=FeatureLayer(name="maps"))

    def normalise(self, grey):
        return torch.as_tensor(grey).float()[:, None].repeat(1, 3, 1, 1) / 255

    def forward(self, batch):
        grey = batch.mean(1, keepdim=True)
        features = torch.cat([(grey - 0.6).relu(), (0.4 - (grey - 0.45).abs()).relu()], 1)
        seen = torch.cat([torch.ones_like(grey), (grey > 0.2).to(grey.dtype)], 1)
        features = features * seen
        maps = self.maps(torch.nn.functional.avg_pool2d(features, 4))
        return maps.mean((2, 3)) @ self.choice * 50

    def predict(self, batch):
        with torch.no_grad():
            return self(batch)


@pytest.fixture
def tree(tmp_path):
    """A test split of one radiograph with both lesions; train and tune are something else."""
    header = ["Path", "Lung Opacity", "Edema"]
    for number, split in enumerate(("train", "tune", "test")):
        pixels = np.full((HEIGHT, WIDTH), number, np.uint8)
        if split == "test":
            pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
            for name, (top, left) in LESIONS.items():
                pixels[top : top + SIDE, left : left + SIDE] = BRIGHTNESS[name]
        place = f"{split}/patient{number}/study1/view1_frontal.png"
        (tmp_path / place).parent.mkdir(parents=True)
        Image.fromarray(pixels).save(tmp_path / place)
        pd.DataFrame([[place, 1, 1]], columns=header).to_csv(tmp_path / f"{split}.csv", index=False)
    return tmp_path


def expert(image_id):
    rows = []
    for name, (top, left) in LESIONS.items():
        mask = np.zeros((HEIGHT, WIDTH), bool)
        mask[top : top + SIDE, left : left + SIDE] = True
        counts = masks.encode(mask)
        rows.append((image_id, name, "e", "segmentation", HEIGHT, WIDTH, counts, 1))
    return pd.DataFrame(rows, columns=masks.MASK_COLUMNS)


METHODS = [
    (GradCam(), 0.75),
    (LayerCam(), 0.75),
    (InputXGradient(), 0.75),
    (Occlusion(window=12, stride=4, fill="black"), 0.3),
    # A superpixel may reach beyond the lesion, whose share of the image is 0.025.
    (Lime(samples=200, segments=40, fill="black"), 0.3),
    (KernelShap(samples=200, segments=40, fill="black"), 0.3),
    (SuperpixelOcclusion(segments=40, fill="black"), 0.3),
]


@pytest.mark.parametrize("geometry", ["stretch", "pad", "crop"])
@pytest.mark.parametrize(
    ("method", "least"), METHODS, ids=lambda value: getattr(value, "method", "")
)
@pytest.mark.parametrize(
    ("classes", "size"),
    [
        (("Lung Opacity", "Edema"), 96),
        (("Edema", "Lung Opacity"), 96),
        (("Lung Opacity", "Edema"), (96, 144)),
    ],
    ids=["in order", "in another order", "not square"],
)
def test_the_heatmap_is_on_the_right_class_and_the_right_pixels(
    tree, tmp_path, geometry, method, least, classes, size
):
    sources = tuple(
        ChexpertSource(adapter="chexpert", name=s, split=s, labels=f"{s}.csv", images=".")
        for s in ("train", "tune", "test")
    )
    prepared = prepare(
        Data(sources=sources), ("Lung Opacity", "Edema"), {s.name: tree for s in sources}
    )
    test = prepared.images[prepared.images["split"] == "test"]
    write_images(
        images.shard(test.to_dict("records"), {"test": tree}, size, geometry),
        tmp_path / "images.h5",
    )
    shard = read_images(tmp_path / "images.h5")
    model = BrightAndMiddling(classes)
    heatmap = method.explain(model, model.normalise(shard.image), torch.arange(2), seeds=[3])
    explained = np.ones((1, 2), bool)
    made = Heatmaps(
        heatmap.numpy(), shard.image_id, explained, list(classes), method.method, {}, "none"
    )
    write_heatmaps(made, tmp_path / "heatmaps.h5")
    frames = dict(zip(shard.image_id, shard.frames, strict=True))
    found, _ = score(
        read_heatmaps(tmp_path / "heatmaps.h5"), frames, expert(shard.image_id[0]), classes
    )
    scores = found.set_index("class")
    for name in classes:
        row = scores.loc[name]
        assert row["hit"] > least
        threshold = otsu(row["inside"] + row["outside"])
        assert iou(row["inside"], row["outside"])[threshold] > least


@pytest.mark.parametrize("method", [method for method, _ in METHODS], ids=lambda m: m.method)
def test_permuting_the_classes_permutes_the_heatmaps(method):
    grey = np.zeros((2, 96, 96), np.uint8)
    grey[:, 5:30, 10:40], grey[:, 60:90, 50:70] = 250, 100
    model = BrightAndMiddling(("Lung Opacity", "Edema"))
    batch = model.normalise(grey)
    forth = method.explain(model, batch, torch.tensor([0, 1]), seeds=[1, 2])
    back = method.explain(model, batch, torch.tensor([1, 0]), seeds=[1, 2])
    np.testing.assert_allclose(forth, back.flip(1), rtol=1e-5, atol=1e-7)
    alone = method.explain(model, batch[1:], torch.tensor([1]), seeds=[2])
    np.testing.assert_allclose(alone[0, 0], forth[1, 1], rtol=1e-4, atol=1e-6)
    assert not np.allclose(forth[:, 0], forth[:, 1])
