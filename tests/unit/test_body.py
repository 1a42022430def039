"""Body and air of a radiograph, and masks that lie in the air."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage

from shamsul.data.body import SIDE, air, tell_outside
from shamsul.data.masks import encode, from_boxes


def chest():
    """A bright body between two strips of air, with two dark lungs inside."""
    image = np.full((256, 256), 8, np.uint8)
    image[:, 60:200] = 180
    image[60:200, 75:115] = 12
    image[60:200, 145:185] = 12
    return image


def test_air_is_dark_and_hangs_together_with_the_border():
    found = air(chest())
    assert found.shape == (SIDE, SIDE)
    assert found[:, :14].all() and found[:, 51:].all()  # 60 and 200 of 256 are 15 and 50 of 64.
    assert not found[:, 16:49].any()  # Lungs are as dark, and inside.


def test_air_is_what_a_labelling_of_regions_gives():
    rng = np.random.default_rng(3)
    for _ in range(10):
        image = (rng.random((SIDE, SIDE)) < 0.55).astype(np.uint8) * 200
        regions, _ = ndimage.label(np.pad(image == 0, 1, constant_values=True))
        assert np.array_equal(air(image), (regions == regions[0, 0])[1:-1, 1:-1])


def made(tmp_path, box, transposed=False):
    Image.fromarray(chest()).save(tmp_path / "a.png")
    mask = from_boxes([box], 256, 256)
    names = [f"i{number}" for number in range(8)]
    masks = pd.DataFrame(
        {
            "image_id": names,
            "class": "Edema",
            "kind": "box",
            "height": 256,
            "width": 256,
            "counts": encode(mask.T if transposed else mask),
        }
    )
    manifest = pd.DataFrame({"image_id": names, "source": "s", "path": "a.png", "depth": 8})
    tell_outside(manifest, masks, {"s": tmp_path})


@pytest.mark.parametrize(
    ("box", "transposed", "said"),
    [
        ((100, 20, 60, 30), False, None),
        ((100, 20, 60, 30), True, "of 8 masks 8 lie in the air .*i0; if rows and columns were sw"),
        ((2, 2, 40, 40), False, "of 8 masks 8 lie in the air .*; look at some"),
    ],
)
def test_masks_in_the_air_are_told(tmp_path, caplog, box, transposed, said):
    made(tmp_path, box, transposed)
    assert bool(caplog.text) == (said is not None)
    assert said is None or pd.Series([caplog.text]).str.contains(said).all()
