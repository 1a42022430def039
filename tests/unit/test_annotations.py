"""Masks and boxes of every form: round trips against pycocotools, readers, and every fault."""

import json
import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pycocotools import mask as coco

from shamsul.data.annotations.drawing import to_masks
from shamsul.data.annotations.forms import forms
from shamsul.data.annotations.json_files import read_json
from shamsul.data.annotations.runs import Runs
from shamsul.data.masks import decode
from shamsul.data.matching import Names
from shamsul.data.rejected import Rejections
from shamsul.errors import InputError

HEIGHT, WIDTH = 40, 30
SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
IMAGES = pd.DataFrame(
    {
        "image_id": ["a", "b"], "path": ["pics/a.png", "pics/b 1.png"],
        "height": [HEIGHT] * 2, "width": [WIDTH] * 2,
    }
)  # fmt: skip
shapes = st.tuples(st.integers(9, 40), st.integers(9, 40))
masks = shapes.flatmap(lambda shape: hnp.arrays(bool, shape)).filter(np.any)


def read(root, images=IMAGES, labels=None, quarantine=False, **entry):
    """Masks of an entry, and what was left out."""
    made = forms()[entry["form"]].model_validate(entry)
    rejected = Rejections("s", quarantine=quarantine)
    names = Names(images["path"], dict(zip(images["image_id"], images["path"], strict=True)))
    made.check(root)
    drawn = to_masks(made.read(root, rejected), images, names, made, labels or {}, rejected)
    return drawn, rejected.found


def sized(mask):
    return IMAGES.assign(height=mask.shape[0], width=mask.shape[1])


def saved(root, content, name="f.json"):
    (root / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return name


def coco_of(*annotations, height=HEIGHT, width=WIDTH):
    return {
        "images": [{"id": 7, "file_name": "a.png", "height": height, "width": width}],
        "categories": [{"id": 1, "name": "Edema"}, {"id": 2, "name": "Mass"}],
        "annotations": [{"image_id": 7, "category_id": 1} | one for one in annotations],
    }


SQUARE = np.zeros((HEIGHT, WIDTH), bool)
SQUARE[8:20, 5:15] = True


# Round trips


@given(masks)
@SETTINGS
def test_run_lengths_of_coco_compressed_or_not(tmp_path, mask):
    packed = coco.encode(np.asfortranarray(mask, np.uint8))
    pixels = mask.T.ravel().astype(int)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], pixels, [1 - pixels[-1]]])))
    counts = np.diff(np.concatenate([[0], edges])).tolist()
    plain = {"size": list(mask.shape), "counts": counts}
    assert np.array_equal(coco.decode(coco.frPyObjects(plain, *mask.shape)), mask)
    for outline in ({"size": list(mask.shape), "counts": packed["counts"].decode()}, plain):
        content = coco_of({"segmentation": outline}, height=mask.shape[0], width=mask.shape[1])
        drawn, _ = read(tmp_path, sized(mask), form="coco", file=saved(tmp_path, content))
        assert np.array_equal(decode(drawn.iloc[0]), mask)


@given(masks, st.sampled_from(["row", "column"]), st.sampled_from(["absolute", "relative"]),
       st.sampled_from([0, 1]))  # fmt: skip
@SETTINGS
def test_run_lengths_in_tables(tmp_path, mask, order, start, first):
    flat = (mask if order == "row" else mask.T).ravel().astype(int)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [0]])))
    begins, ends = edges[::2], edges[1::2]
    told = begins + first
    if start == "relative":
        told = begins - np.concatenate([[0], ends[:-1]])
        told[0] += first
    numbers = np.stack([told, ends - begins], axis=1).ravel()
    assert np.array_equal(Runs(numbers, order, start, first).mask(*mask.shape), mask)
    text = " ".join(map(str, numbers))
    saved(tmp_path, f"id,rle,who\na.png,{text},r\nb 1.png,-1,r\n", "r.csv")
    entry = {"form": "rle", "file": "r.csv", "image": "id", "counts": "rle", "label": "Edema"}
    drawn, _ = read(
        tmp_path, sized(mask), **entry, order=order, start=start, first=first, reader="who"
    )
    (row,) = drawn.to_dict("records")
    assert np.array_equal(decode(row), mask) and (row["annotator"], row["class"]) == ("r", "Edema")


@given(masks)
@SETTINGS
def test_masks_as_png(tmp_path, mask):
    (tmp_path / "m" / "Edema").mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "m" / "Edema" / "a.png")
    drawn, _ = read(tmp_path, sized(mask), form="png", folder="m")
    theirs = {"size": list(mask.shape), "counts": drawn["counts"][0].encode()}
    assert np.array_equal(coco.decode(theirs), mask)


corners = st.tuples(st.integers(0, 20), st.integers(0, 25), st.integers(2, 10), st.integers(2, 14))


@given(corners)
@SETTINGS
def test_boxes_in_every_form_are_pycocotools_boxes(tmp_path, box):
    x, y, w, h = box
    (rle,) = coco.frPyObjects(np.array([box], float), HEIGHT, WIDTH)
    theirs = coco.decode(rle).astype(bool)
    common = {"form": "boxes", "file": "b.csv", "image": "i", "label": "c"}
    frame = [HEIGHT * 4, WIDTH * 2]
    for numbers, more in (
        ((x, y, w, h), {"box": "xywh"}),
        ((x, y, x + w, y + h), {"box": "xyxy"}),
        ((x + w / 2, y + h / 2, w, h), {"box": "cxcywh"}),
        ((x / WIDTH, y / HEIGHT, w / WIDTH, h / HEIGHT), {"unit": "fraction"}),
        ((x * 2, y * 4, w * 2, h * 4), {"frame": frame}),
    ):
        cells = ",".join(map(repr, numbers))
        saved(tmp_path, f"i,c,x,y,w,h\na,Edema,{cells}\nb 1,Edema,,,,\n", "b.csv")
        drawn, _ = read(tmp_path, **common, **more)
        assert np.array_equal(decode(drawn.iloc[0]), theirs), more
        assert drawn["kind"].tolist() == ["box"] and drawn["instances"].tolist() == [1]
        saved(tmp_path, f'i,c,b\na,Edema,"[{cells}]"\n', "b.csv")
        drawn, _ = read(tmp_path, **common, **more, columns=["b"])
        assert np.array_equal(decode(drawn.iloc[0]), theirs), more
    content = coco_of({"bbox": list(box)})
    drawn, _ = read(tmp_path, form="coco", file=saved(tmp_path, content))
    assert np.array_equal(decode(drawn.iloc[0]), theirs) and drawn["kind"].tolist() == ["box"]


polygons = st.lists(
    st.tuples(st.integers(1, WIDTH - 1), st.integers(1, HEIGHT - 1)), min_size=3, max_size=7,
    unique=True,
)  # fmt: skip


@given(polygons)
@SETTINGS
def test_polygons_are_pycocotools_polygons_but_for_their_outline(tmp_path, polygon):
    """CheXlocalize's drawing, which is ours, counts the outline in; COCO's cuts through pixels."""
    content = coco_of({"segmentation": [np.ravel(polygon).tolist()]})
    drawn, _ = read(tmp_path, form="coco", file=saved(tmp_path, content))
    ours = decode(drawn.iloc[0])
    rle = coco.merge(coco.frPyObjects([np.ravel(polygon).tolist()], HEIGHT, WIDTH))
    theirs = coco.decode(rle).astype(bool)
    near = np.pad(theirs, 1)
    grown = np.any([np.roll(near, (i - 1, j - 1), (0, 1)) for i, j in np.ndindex(3, 3)], axis=0)
    outline = np.zeros((HEIGHT, WIDTH), bool)
    for (x0, y0), (x1, y1) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        for share in np.linspace(0, 1, 200):
            x, y = x0 + share * (x1 - x0), y0 + share * (y1 - y0)
            outline[max(0, int(y) - 1) : int(y) + 2, max(0, int(x) - 1) : int(x) + 2] = True
    assert not (ours & ~grown[1:-1, 1:-1] & ~outline).any()
    assert not (theirs & ~ours & ~outline).any()


# Other forms


def check_square(drawn, kind="segmentation"):
    """The box or polygon from (5, 8) to (15, 20), of which an outline takes in its last pixels."""
    (row,) = drawn.to_dict("records")
    expected = SQUARE.copy()
    if kind == "segmentation":
        expected[8:21, 5:16] = True
    assert np.array_equal(decode(row), expected)
    assert (row["image_id"], row["class"], row["kind"]) == ("a", "Edema", kind)


POINTS = [[5, 8], [15, 8], [15, 20], [5, 20]]


@pytest.mark.parametrize("whole", [True, False])
def test_via(tmp_path, whole):
    def entry(about):
        region = {"shape_attributes": about, "region_attributes": {"finding": "Edema"}}
        return {"a.png123": {"filename": "a.png", "size": 123, "regions": [region]}}

    outline = {"name": "polygon", "all_points_x": [5, 15, 15, 5], "all_points_y": [8, 8, 20, 20]}
    box = {"name": "rect", "x": 5, "y": 8, "width": 10, "height": 12}
    for about, kind in ((outline, "segmentation"), (box, "box")):
        content = {"_via_img_metadata": entry(about)} if whole else entry(about)
        file = saved(tmp_path, content)
        check_square(read(tmp_path, form="via", file=file, label_key="finding")[0], kind)
    drawn, found = read(tmp_path, quarantine=True, form="via", file=file)
    assert drawn.empty and "lacks 'label'; set `label_key`" in found[0].reason


def test_chexlocalize(tmp_path):
    outline = {"img_size": [HEIGHT, WIDTH], "Edema": [POINTS]}
    for key in ("a", "x/pics/a.png"):
        drawn, _ = read(tmp_path, form="chexlocalize", file=saved(tmp_path, {key: outline}))
        check_square(drawn)
    packed = coco.encode(np.asfortranarray(SQUARE, np.uint8))
    runs = {"size": [HEIGHT, WIDTH], "counts": packed["counts"].decode()}
    content = {"a": {"Airspace Opacity": runs}, "b 1": {"Edema": {"size": [1, 2], "counts": "zz"}}}
    file = saved(tmp_path, content)
    drawn, found = read(tmp_path, quarantine=True, form="chexlocalize", file=file)
    assert drawn["class"].tolist() == ["Lung Opacity"]
    assert np.array_equal(decode(drawn.iloc[0]), SQUARE)
    assert "b 1, Edema: " in found[0].reason


def test_labelme(tmp_path):
    for kind, points, form in (
        ("polygon", POINTS, "segmentation"), ("rectangle", [[5, 8], [15, 20]], "box"),
    ):  # fmt: skip
        shape = {"label": "Edema", "points": points, "shape_type": kind}
        content = {"imagePath": "..\\pics\\a.png", "imageHeight": 40, "imageWidth": 30}
        (tmp_path / kind).mkdir()
        saved(tmp_path / kind, content | {"shapes": [shape]}, "a.json")
        check_square(read(tmp_path, form="labelme", file=kind)[0], form)


def test_cvat(tmp_path):
    inner = {
        "segmentation": '<polygon label="Edema" points="5,8;15,8;15,20;5,20"/>',
        "box": '<box label="Edema" xtl="5" ytl="8" xbr="15" ybr="20"/>',
    }
    for kind, element in inner.items():
        image = f'<image id="0" name="x/pics/a.png" width="30" height="40">{element}</image>'
        file = saved(tmp_path, f"<annotations>{image}</annotations>", "c.xml")
        check_square(read(tmp_path, form="cvat", file=file)[0], kind)
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa">]><annotations>&a;</annotations>'
    with pytest.raises(InputError, match=r"c\.xml: declares a document type"):
        read(tmp_path, form="cvat", file=saved(tmp_path, bomb, "c.xml"))


def test_label_studio_keeps_annotators_apart(tmp_path):
    def result(kind, **value):
        return {"id": "r", "type": kind, "value": value | {kind: ["Edema"]}}

    percent = [[x / WIDTH * 100, y / HEIGHT * 100] for x, y in POINTS]
    sides = {"x": 5 / 0.3, "y": 8 / 0.4, "width": 10 / 0.3, "height": 12 / 0.4}
    outline, box = result("polygonlabels", points=percent), result("rectanglelabels", **sides)
    for one, kind in ((outline, "segmentation"), (box, "box")):
        task = {"data": {"image": "/data/upload/1/a.png"}, "file_upload": "x/a.png"}
        task["annotations"] = [{"completed_by": 3, "result": [one]}]
        file = saved(tmp_path, [task])
        drawn, _ = read(tmp_path, form="label_studio", file=file)
        check_square(drawn, kind)
    task["annotations"].append({"completed_by": {"id": 4}, "result": [outline]})
    drawn, _ = read(tmp_path, form="label_studio", file=saved(tmp_path, [task]))
    assert sorted(drawn["annotator"]) == ["annotator 3", "annotator 4"]


def test_colours_are_findings_and_an_unnamed_one_is_told(tmp_path):
    (tmp_path / "m").mkdir()
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[8:20, 5:15] = (255, 0, 0)
    pixels[25:30, 5:15] = (0, 255, 0)
    Image.fromarray(pixels).save(tmp_path / "m" / "a.png")
    entry = {"form": "colours", "folder": "m", "colours": {"#FF0000": "Edema"}}
    drawn, found = read(tmp_path, quarantine=True, **entry)
    (row,) = drawn.to_dict("records")
    assert np.array_equal(decode(row), SQUARE) and row["class"] == "Edema"
    assert "50 pixels of colour #00ff00, which `colours` does not name" in found[0].reason
    # A mask of two grey values is not taken for one finding.
    (tmp_path / "n" / "Edema").mkdir(parents=True)
    Image.fromarray(pixels.max(axis=2) // 255 + (pixels[..., 1] > 0)).save(
        tmp_path / "n" / "Edema" / "a.png"
    )
    drawn, found = read(tmp_path, quarantine=True, form="png", folder="n")
    assert drawn.empty and "holds the values 1 2" in found[0].reason


@pytest.mark.parametrize(
    ("readers", "pixels"), [("apart", [4, 3, 3]), ("union", [5]), ("majority", [3])]
)
def test_readers_are_united_only_where_asked(tmp_path, readers, pixels):
    rows = ["i,c,who,x,y,w,h", "a,Edema,A,2,2,4,1", "a,Edema,B,3,2,3,1", "a,Edema,C,4,2,3,1"]
    saved(tmp_path, "\n".join(rows), "b.csv")
    entry = {"form": "boxes", "file": "b.csv", "image": "i", "label": "c", "reader": "who"}
    drawn, _ = read(tmp_path, **entry, readers=readers)
    assert [int(decode(row).sum()) for row in drawn.to_dict("records")] == pixels
    expected = ["A", "B", "C"] if readers == "apart" else ["A+B+C"]
    assert drawn["annotator"].tolist() == expected


# Faults


def outline(points):
    return coco_of({"segmentation": [np.ravel(points).tolist()]})


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ([[1000, 1000], [1100, 1000], [1100, 1100]], "lies outside the image of 30 x 40"),
        ([[0.1, 0.1], [0.3, 0.1], [0.3, 0.3]], "say `unit: fraction`"),
        ([[5, 5], [9, 9]], "fewer than three vertices"),
        ([[1e300, 5], [9, 9], [3, 3]], "lies outside"),
        ([[-9, 5], [9, 9], [3, 3]], "lies outside"),
    ],
)
def test_polygons_that_cannot_be_are_rejected_by_reason(tmp_path, points, said):
    file = saved(tmp_path, outline(points))
    drawn, found = read(tmp_path, quarantine=True, form="coco", file=file)
    assert drawn.empty and said in found[0].reason
    assert (found[0].kind, found[0].image_id, found[0].field) == ("mask", "a", "annotations[0]")
    with pytest.raises(InputError, match=r"f\.json: annotations\[0\]: "):
        read(tmp_path, form="coco", file=file)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ("20,30,25,35", "outside the image"),  # corners under `xywh`
        ("5,5,0,3", "no width or height"),
        ("5,5,x,3", "are not four numbers"),
        ("nan,5,3,3", "are not four numbers"),
        ("5.6,5.6,0.2,0.2", "covers the centre of no pixel"),
    ],
)
def test_boxes_that_cannot_be_name_their_row(tmp_path, cells, said):
    saved(tmp_path, f"i,c,x,y,w,h\n\nb 1,Edema,1,1,5,5\na,Edema,{cells}\n", "b.csv")
    entry = {"form": "boxes", "file": "b.csv", "image": "i", "label": "c"}
    drawn, found = read(tmp_path, quarantine=True, **entry)
    assert drawn["image_id"].tolist() == ["b"] and found[0].row == 4 and said in found[0].reason


@pytest.mark.parametrize(
    ("counts", "more", "said"),
    [
        ("1 5 3 4", {"start": "absolute"}, "runs overlap; is `start` right?"),
        ("1 5 1195 5", {"start": "relative"}, "ends at pixel 1206 of 1200"),
        ("1190 50", {"start": "absolute"}, "ends at pixel 1240 of 1200"),
        ("1 5 7", {"start": "absolute"}, "pairs, not 3"),
        ("0 5", {"start": "absolute", "first": 1}, "is `first` right?"),
        ("1 b", {"start": "absolute"}, "are no run lengths"),
    ],
)
def test_run_lengths_that_cannot_be_name_their_row(tmp_path, counts, more, said):
    saved(tmp_path, f"i,rle\nb 1,1 3\na,{counts}\n", "r.csv")
    entry = {"form": "rle", "file": "r.csv", "image": "i", "counts": "rle", "label": "Edema"}
    entry |= {"order": "row", "first": 0} | more
    drawn, found = read(tmp_path, quarantine=True, **entry)
    assert drawn["image_id"].tolist() == ["b"]
    assert found[0].row == 3 and said in found[0].reason


def test_run_lengths_in_the_wrong_order_fall_into_stripes(tmp_path):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[10:30, 5:20] = True
    flat = np.flatnonzero(np.diff(np.concatenate([[0], mask.T.ravel(), [0]]).astype(int)))
    text = " ".join(f"{a} {b - a}" for a, b in flat.reshape(-1, 2))
    saved(tmp_path, f"i,rle\na,{text}\n", "r.csv")
    entry = {"form": "rle", "file": "r.csv", "image": "i", "counts": "rle", "label": "Edema"}
    entry |= {"start": "absolute", "first": 0}
    drawn, _ = read(tmp_path, **entry, order="column")
    assert np.array_equal(decode(drawn.iloc[0]), mask)
    with pytest.raises(InputError, match="fall into stripes, with a border of .*set the other"):
        read(tmp_path, **entry, order="row")


def test_images_that_nobody_lists_are_counted_with_the_nearest_name(tmp_path, caplog):
    saved(tmp_path, "i,c,x,y,w,h\na,Edema,1,1,5,5\nb1,Edema,1,1,5,5\nz,Edema,1,1,5,5\n", "b.csv")
    entry = {"form": "boxes", "file": "b.csv", "image": "i", "label": "c"}
    drawn, _ = read(tmp_path, **entry)
    assert len(drawn) == 1 and "2 names are of no image that is used" in caplog.text
    assert "'b1' is none of the images; did you mean 'pics/b 1.png'?" in caplog.text
    saved(tmp_path, "i,c,x,y,w,h\nq,Edema,1,1,5,5\n", "b.csv")
    with pytest.raises(InputError, match="nothing in them is of any of the 2 images: .*'q'"):
        read(tmp_path, **entry)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"a": 1, "a": 2}', "key 'a' is there twice"),
        ('{"x": {"b": 1, "b": 2}}', "key 'b' is there twice"),
        ("{", "not readable JSON"),
        ("[" * 100_000, "not readable JSON"),
    ],
)
def test_json_of_which_a_part_would_be_lost_is_refused(tmp_path, content, said):
    with pytest.raises(InputError, match=r"f\.json: ") as error:
        read_json(tmp_path / saved(tmp_path, content))
    assert said in str(error.value) and "\n" not in str(error.value)


def test_an_image_that_is_twice_in_a_coco_file_is_refused(tmp_path):
    content = coco_of({"bbox": [1, 1, 5, 5]})
    content["images"].append(content["images"][0] | {"id": 8})
    with pytest.raises(InputError, match=r"images\[1\]: .*is there twice"):
        read(tmp_path, form="coco", file=saved(tmp_path, content))


@pytest.mark.parametrize("form", ["coco", "via", "labelme", "label_studio", "chexlocalize"])
@given(
    content=st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=4),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["images", "annotations", "categories", "shapes", "imagePath", "regions", "data",
                 "filename", "id", "x"]
            ), inner, max_size=4,
        ), max_leaves=12,
    )
)  # fmt: skip
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_json_is_read_or_refused_in_one_line(tmp_path, form, content):
    file = saved(tmp_path, content)
    try:
        read(tmp_path, quarantine=True, form=form, file=file)
    except InputError as error:
        assert "\n" not in str(error)


def test_blank_masks_are_counted_and_not_faults(tmp_path, caplog):
    (tmp_path / "m" / "Edema").mkdir(parents=True)
    for name, mask in (("a", SQUARE), ("b 1", SQUARE & False)):
        Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "m" / "Edema" / f"{name}.png")
    with caplog.at_level(logging.INFO):
        drawn, found = read(tmp_path, form="png", folder="m")
    assert len(drawn) == 1 and not found and "1 masks are blank" in caplog.text
