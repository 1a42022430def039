"""The page of one radiograph: its content, its policy, and names that try to be markup."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from shamsul.data.masks import decode, encode
from shamsul.geometry import Frame
from shamsul.report.case import bundle, colours, content
from shamsul.report.case.content import Case, Explanation, Layer, Segmentation, packed
from shamsul.report.case.packing import pack, png, unpack
from shamsul.report.case.page import inline, render
from shamsul.report.case.statistics import figures

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&{{7*7}} ${x}\u2028"
FLOATS = st.floats(-1e6, 1e6, width=32)


@given(arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=FLOATS))
def test_a_map_comes_back_as_it_was_or_within_half_a_level(values):
    assert unpack(pack(values, "float32")).tobytes() == values.astype("<f4").tobytes()
    coarse = pack(values, "int16")
    back = unpack(coarse)
    assert back.shape == values.shape and back.dtype == np.float32
    largest = float(np.abs(values).max())
    assert np.abs(back - values).max() <= coarse["scale"] / 2 + 1e-6 * largest
    assert (back[values == 0] == 0).all(), "zero is no relevance, and stays so"


def test_what_cannot_be_packed_is_refused():
    with pytest.raises(ValueError, match="finite"):
        pack(np.array([[np.nan]]), "float32")
    with pytest.raises(ValueError, match="allowed are float32, int16"):
        pack(np.zeros((1, 1)), "uint8")


def test_a_radiograph_is_a_grey_picture_no_longer_than_it_may_be():
    image = np.arange(60 * 40, dtype=np.uint16).reshape(60, 40).astype(np.uint8)
    for longest, shape in ((100, (60, 40)), (30, (30, 20))):
        address = png(image, longest)
        assert address.startswith("data:image/png;base64,")
        shown = np.asarray(Image.open(BytesIO(base64.b64decode(address.partition(",")[2]))))
        assert shown.shape == shape
        if shape == image.shape:
            np.testing.assert_array_equal(shown, image)


def case(name="Edema", reader="one", method="grad_cam", notes=(), image_id="p1"):
    frame = Frame.fit(40, 30, 16, "pad")
    rng = np.random.default_rng(0)
    masks = []
    for number, annotator in enumerate((reader, "two")):
        mask = np.zeros((40, 30), bool)
        mask[5 + number : 15, 4 : 12 + 5 * number] = True
        row = {"image_id": image_id, "class": name, "annotator": annotator}
        row |= {"kind": "segmentation", "height": 40, "width": 30, "counts": encode(mask)}
        masks.append(row)
    drawn = np.zeros((40, 30), bool)
    drawn[6:14, 5:11] = True
    layers = {name: Layer(rng.normal(size=(8, 8)).astype(np.float32), frame)}
    outlined = {name: Layer(Segmentation(40, 30, encode(drawn)), frame.filled())}
    return Case(
        image_id=image_id,
        image=rng.integers(0, 256, (40, 30), np.uint8),
        height=40,
        width=30,
        probabilities={"Other": 0.9, name: 0.25},
        explanations=[
            Explanation(method, method, "forward", True, layers, {"a": name}, 0.5),
            Explanation("reader", "Reader", "no_model", False, outlined),
        ],
        masks=masks,
        labels={name: 1.0, "Other": float("nan")},
        tuned={method: {name: 300}},
        provenance={"Network": method},
        notes=list(notes),
    )


def test_the_content_is_what_the_script_reads():
    found = packed(case())
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["first"] == {"class": "Edema", "methods": ["grad_cam"]}
    assert found["classes"] == [
        {"name": "Other", "probability": 0.9, "label": None},
        {"name": "Edema", "probability": 0.25, "label": 1.0},
    ]
    assert found["maps"]["grad_cam"]["Edema"]["precision"] == "float32"
    assert found["maps"]["reader"]["Edema"]["segmentation"]["height"] == 40
    for scale in found["colours"].values():
        assert len(base64.b64decode(scale)) == 3 * 256


def test_readers_are_there_together_and_each_alone():
    masks = packed(case())["masks"]["Edema"]
    assert [mask["reader"] for mask in masks] == ["one", "two", "all readers"]
    one, two, together = (decode(mask) for mask in masks)
    np.testing.assert_array_equal(together, one | two)
    assert one.sum() == 80 and two.sum() == 9 * 13


def test_maps_beyond_the_budget_are_kept_in_16_bits():
    layer = packed(case(), budget=8 * 8 * 4)["maps"]["grad_cam"]["Edema"]
    assert layer["precision"] == "float32"
    layer = packed(case(), budget=8 * 8 * 4 - 1)["maps"]["grad_cam"]["Edema"]
    assert layer["precision"] == "int16" and layer["scale"] > 0


def test_methods_of_each_cost_are_shown_first_and_controls_last():
    frame = Frame.fit(4, 4, 4, "stretch")
    layers = {"Edema": Layer(np.ones((2, 2), np.float32), frame)}
    names = {"a": "forward", "b": "forward", "c": "backward", "d": "sampling", "e": "no_model"}
    made = [Explanation(name, name, cost, False, layers) for name, cost in names.items()]
    control = Explanation("u", "u", "forward", False, layers, {"network": "untrained"})
    one = case()
    both = Case("i", one.image, 40, 30, {"Edema": 0.5}, [*made, control])
    assert packed(both)["first"]["methods"] == ["a", "c", "d", "b"]
    alone = Case("i", one.image, 40, 30, {"Edema": 0.5}, [made[-1]])
    assert packed(alone)["first"]["methods"] == ["e"]


def policy(page):
    return html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1])


def test_the_policy_admits_the_pages_own_script_and_style_and_nothing_else():
    page = render(case())
    rules = dict(rule.split(" ", 1) for rule in policy(page).split("; "))
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data:"
    for name, tag in (("script-src", '<script type="module">'), ("style-src", "<style>")):
        end = f"</{name.partition('-')[0]}>"
        (text,) = re.findall(f"{re.escape(tag)}(.*?){end}", page, re.S)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[name] == f"'sha256-{digest}'"
    assert not re.search(r"\b(src|href)=[\"']?(https?:)?//", page)
    assert not re.search(r"\son\w+=|\bstyle=", page), "the policy forbids them"


def test_names_from_outside_are_text_wherever_they_stand():
    page = render(case(HOSTILE, HOSTILE, HOSTILE, [HOSTILE], HOSTILE))
    assert "<img src=x" not in page and "49 " not in page
    assert page.count("<script") == page.count("</script") == 2
    text = re.search(r'id="content">(.*?)</script>', page, re.S)[1]
    found = json.loads(text)
    assert found["image"]["id"] == HOSTILE and list(found["masks"]) == [HOSTILE]
    assert html.unescape(re.search(r"<h1>(.*?)</h1>", page, re.S)[1]) == HOSTILE


def test_a_notebook_gets_the_page_in_a_frame_of_its_own():
    shown = case()._repr_html_()
    (inner,) = re.findall(r'srcdoc="([^"]*)"', shown)
    assert html.unescape(inner) == render(case())
    assert 'sandbox="allow-scripts"' in shown and "allow-same-origin" not in shown
    assert 'height="500"' in inline(case(), 500)


def test_no_module_of_the_script_hides_a_name_of_another():
    modules = sorted(bundle.FOLDER.glob("*.js"))
    assert len(modules) >= 10
    names = [
        name
        for module in modules
        for name in re.findall(
            r"^(?:export )?(?:async )?(?:function|class|const|let) (\w+)", module.read_text(), re.M
        )
    ]
    assert len(names) == len(set(names))
    script = bundle.script()
    assert "</" not in script and "<!--" not in script, "it would end its element"
    assert not re.search(r"^(import|export) ", script, re.M)
    for module in modules:
        assert script.count(f"// {module.name}\n") == 1
        assert len(module.read_text().splitlines()) <= 320


def test_colours_are_uniform_to_the_eye():
    """Lightness grows throughout; the diverging scale is even about its middle to a ninth."""
    from skimage.color import rgb2lab

    def lightness(scale):
        return rgb2lab(colours.table(scale)[None] / 255)[0, :, 0]

    one = lightness("sequential")
    assert (np.diff(one) > -0.2).all() and one[0] < 2 and one[-1] > 95
    two = lightness("diverging")
    assert two.argmin() in range(118, 138)
    assert np.abs(two - two[::-1]).max() < 11
    red, blue = colours.table("diverging")[-1], colours.table("diverging")[0]
    assert red[0] > red[2] and blue[2] > blue[0], "told apart without red and green"


def test_figures_are_those_of_the_measures():
    found = figures(case())
    assert [row["class"] for row in found["classes"]] == ["Other", "Edema"]
    grad_cam, reader = found["methods"]
    (one,) = grad_cam["maps"]
    assert one["shape"] == [8, 8] and one["least"] < 0 < one["greatest"]
    assert 0 <= one["iou"] <= 1 and 0 < one["marked_area"] < 1
    (drawn,) = reader["maps"]
    first = np.zeros((40, 30), bool)
    first[5:15, 4:12] = True
    inside = np.zeros((40, 30), bool)
    inside[6:14, 5:11] = True
    overlap = (inside & first).sum() / (inside | first).sum()
    assert drawn["iou"] == pytest.approx(overlap) and "shape" not in drawn
    json.dumps(found, allow_nan=False)


def test_without_any_map_the_page_still_shows_the_classes():
    one = case()
    bare = Case("i", one.image, 40, 30, {"A": 0.1, "B": 0.2}, [])
    assert bare.classes == ["B", "A"] and content.packed(bare)["first"]["methods"] == []
    assert "<h1>i</h1>" in render(bare)
