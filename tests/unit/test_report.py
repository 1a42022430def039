"""Report of a run: a page that is well-formed, accessible and true to the tables."""

import dataclasses
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from shamsul.geometry import Frame, to_original
from shamsul.report import figures, overlay
from shamsul.report.differences import Lookup
from shamsul.report.page import render
from shamsul.report.run import Results
from shamsul.report.sections.gallery import choose
from shamsul.storage.tables import write_table
from tests.results import KINDS, changed, make

SCRIPT = Path(__file__).parents[2] / "scripts" / "report.py"


class Page(HTMLParser):
    """Everything that a test wants to know of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.attributes, self.open = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *attr) for attr in attrs]
        if tag not in ("meta", "img", "input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def html(made):
    return render(*made, KINDS)


def test_page_is_well_formed_and_self_contained(html):
    page = Page(html)
    assert page.open == []
    assert not set(page.tags) & {"script", "link", "iframe", "object", "base"}
    for tag, name, value in page.attributes:
        if name in ("src", "href", "xlink:href", "srcset", "action", "data"):
            assert value.startswith(("data:image/jpeg;base64,", "#")), (tag, name, value)
        assert not name.startswith("on")
    assert not re.search(r"url\(|@import|https?:", html)
    identifiers = [value for _, name, value in page.attributes if name == "id"]
    assert len(set(identifiers)) == len(identifiers)
    links = {value[1:] for _, name, value in page.attributes if name == "href"}
    assert links <= set(identifiers)


def test_page_is_accessible(html):
    assert html.count("<img ") == len(re.findall(r'<img [^>]*alt="[^"]+"', html)) > 0
    assert html.count("<svg ") == len(re.findall(r'<svg [^>]*role="img"', html)) > 0
    assert html.count("<th ") == len(re.findall(r'<th [^>]*scope="', html))
    assert "<th>" not in html


def test_page_shows_the_tables_values(made, html):
    results, _ = made
    text = " ".join("".join(Page(html).text).split())
    summary = results.tables["localisation"].query("split == 'test' and threshold_rule == 'otsu'")
    for row in summary[summary["metric"] == "iou"].itertuples():
        assert f"{row.mean:.2f}" in text
        assert f"{row.low:.2f} to {row.high:.2f}" in text
    for name in ("IoU, Otsu", "IoU, tuned", "Hit rate", "train", "2 min 05 s", "25afe0e"):
        assert name in text


def test_headline_names_the_best_explanation_and_its_verdicts(made, html):
    results, _ = made
    key = "`class` == 'pooled' and metric == 'iou' and threshold_rule == 'otsu'"
    pooled = results.tables["localisation"].query(f"split == 'test' and {key}")
    pooled = pooled.sort_values("mean", ascending=False)
    order = pooled["method"].tolist()
    # The reader and the mean of the masks come first, and are not in the contest.
    assert order[0] in KINDS
    best, second = (method for method in order if method not in KINDS)
    row = " ".join(re.search(r"IoU, Otsu</th>(.*?)</tr>", html, re.S).group(1).split())
    assert f">{best}<" in row and f"than {second}" in row
    against = results.tables["comparisons"].query(key).set_index(["method_a", "method_b"])
    assert against.loc[(best, "random"), "p_adjusted"] < 0.05
    assert row.count('class="verdict better"') == 1 + (
        against.loc[(best, second), "p_adjusted"] < 0.05
    )


def test_difference_is_turned_round_with_its_interval_and_verdict():
    row = {"class": "pooled", "method_a": "a", "method_b": "b", "difference": 0.2, "metric": "iou"}
    row |= {"low": 0.1, "high": 0.4, "p_adjusted": 0.01, "detectable": 0.3, "verdict": "better"}
    lookup = Lookup(pd.DataFrame([row]))
    found = lookup("pooled", "b", "a")
    assert (found.value, found.low, found.high) == (-0.2, -0.4, -0.1)
    assert found.verdict == "worse" and lookup("pooled", "a", "b").verdict == "better"
    assert lookup("pooled", "a", "c") is None
    for both in ("equivalent", "cannot be told", "not distinguishable", "the same"):
        lookup = Lookup(pd.DataFrame([row | {"verdict": both}]))
        assert lookup("pooled", "a", "b").verdict == lookup("pooled", "b", "a").verdict == both
    assert Lookup(pd.DataFrame([row | {"verdict": ""}]))("pooled", "b", "a").verdict == "not tested"


def test_same_results_give_the_same_page(made, html):
    assert render(*made, KINDS) == html


def test_hostile_names_are_escaped(tmp_path):
    evil = "<script>alert('x')</script>\"&"
    results, config = make(
        tmp_path, methods=(f"cam{evil}", "random"), classes=(evil, "Edema"), prefix=evil[:8]
    )
    config["report"]["title"] = evil
    results.provenance["versions"][evil] = evil
    html = render(results, config, KINDS)
    page = Page(html)
    assert page.open == [] and "script" not in page.tags
    assert "<script" not in html.lower()
    assert evil in "".join(page.text)


def empty(table):
    return table.iloc[:0]


def test_everything_empty_still_makes_a_page(made):
    results, config = made
    kept = ("predictions", "manifest")
    optional = ("faithfulness", "sanity", "chexlocalize")
    bare = {
        name: table if name in kept else empty(table)
        for name, table in results.tables.items()
        if name not in optional
    }
    html = render(Results(bare, results.heatmaps, results.images, results.roots), config, KINDS)
    text = "".join(Page(html).text)
    assert "No test image has an expert mask" in text
    assert "the checkpoint was given" in text
    assert "<img" not in html and not re.search(r"\bnan\b", text, re.I)


def test_a_history_without_columns_is_no_history(made):
    results, config = made
    html = render(changed(results, history=pd.DataFrame()), config, KINDS)
    assert "the checkpoint was given" in html


def test_one_method_one_class_and_one_patient(tmp_path):
    results, config = make(tmp_path, methods=("grad_cam",), classes=("Edema",), count=3)
    html = render(results, config, KINDS)
    text = " ".join("".join(Page(html).text).split())
    assert "An explanation method, judged against masks on" in text
    assert not re.search(r"\bnan\b", text, re.I)


def test_boxes_are_kept_apart_and_said_to_be_boxes(tmp_path):
    results, config = make(tmp_path, kind="box")
    html = render(results, config, KINDS)
    assert "Box overlap is not mask IoU" in html
    assert "IoU (box), Otsu" in html and not re.search(r">IoU, Otsu<", html)


def test_gallery_takes_the_middle_and_the_best_of_the_largest_classes():
    rows = [
        (f"i{i}", "test", name, method, "otsu", "iou", value)
        for name, values in {"A": [0.1, 0.5, 0.9, 0.2, 0.3], "B": [0.7, 0.6]}.items()
        for i, value in enumerate(values)
        for method in ("cam", "random")
    ]
    names = ["image_id", "split", "class", "method", "threshold_rule", "metric", "value"]
    table = pd.DataFrame(rows, columns=names)
    # The control's values would turn the order round, but do not count.
    control = table["method"] == "random"
    table.loc[control, "value"] = 10 * (1 - table.loc[control, "value"])
    tune = table.assign(split="tune", value=1.0, image_id="tune")
    found = choose(pd.concat([table, tune]), "iou", "otsu", {"cam"}, 10)
    assert [(c.class_name, c.image_id) for c in found] == [
        *(("A", "i4"), ("A", "i2"), ("B", "i1"), ("B", "i0"), ("A", "i0"))
    ]
    assert choose(table.sample(frac=1, random_state=3), "iou", "otsu", {"cam"}, 3) == found[:3]


@pytest.mark.parametrize("geometry", ["stretch", "pad", "crop"])
def test_overlay_lies_where_to_original_puts_it(geometry):
    frame = Frame.fit(480, 300, 64, geometry)
    heatmap = np.zeros((16, 16))
    heatmap[10:12, 4:6] = 1
    picture = np.zeros((240, 150, 3))
    coloured = overlay.overlay(picture, heatmap, frame, signed=False).sum(axis=2)
    expected = to_original(heatmap, frame).reshape(240, 2, 150, 2).mean(axis=(1, 3))
    assert coloured[expected > 0.9].min() > coloured[expected < 0.1].max()


def test_signed_overlay_is_red_for_and_blue_against():
    frame = Frame.fit(20, 20, 2, "stretch")
    picture = overlay.overlay(np.full((20, 20, 3), 128.0), np.array([[1, 0], [0, -1]]), frame, True)
    red, _, blue = picture[2, 2]
    assert red > blue + 60
    red, _, blue = picture[-2, -2]
    assert blue > red + 60
    nothing = overlay.overlay(np.full((20, 20, 3), 128.0), np.zeros((2, 2)), frame, True)
    assert (nothing == 128).all()


def test_outline_is_the_rim_of_the_mask():
    mask = np.zeros((240, 120), bool)
    mask[50:100, 30:80] = True
    drawn = overlay.outline(np.zeros((240, 120, 3)), mask).any(axis=2)
    assert drawn.sum() == 4 * 50 - 4
    assert drawn[50, 30:80].all() and drawn[50:100, 79].all() and not drawn[51:99, 31:79].any()


def test_ramp_is_legible_and_grows_darker():
    def luminance(colour):
        channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(channels > 0.04045, ((channels + 0.055) / 1.055) ** 2.4, channels / 12.92)
        return linear @ [0.2126, 0.7152, 0.0722]

    previous = 2.0
    for share in np.linspace(0, 1, 101):
        background, text = (luminance(colour) for colour in figures.ramp(share))
        low, high = sorted((background, text))
        assert (high + 0.05) / (low + 0.05) >= 4.5
        assert background < previous
        previous = background


def test_box_of_a_sample_by_hand():
    box = figures.Box.of([0, 0.1, 0.2, 0.3, 0.4, 1.0])
    # Quartiles 0.125 and 0.375, so whiskers reach from -0.25 to 0.75: 1.0 lies beyond.
    assert (box.q1, box.median, box.q3) == pytest.approx((0.125, 0.25, 0.375))
    assert (box.low, box.high) == pytest.approx((0, 0.4))
    assert box.beyond.tolist() == [1.0] and box.count == 6
    assert box.mean == pytest.approx(2 / 6)


def test_program_writes_the_page(made, html, tmp_path):
    results, config = made
    given = {"config": config, "kinds": KINDS, "foreign": {}}
    arguments = ["--settings", json.dumps(given)]
    files = {name: tmp_path / f"{name}.parquet" for name in results.tables}
    for name, path in files.items():
        write_table(results.tables[name], path)
    arguments += ["--manifests", files.pop("manifest"), "--masks", files.pop("masks")]
    arguments += ["--masked", files.pop("masked")]
    arguments += ["--tables", *files.values()]
    arguments += ["--heatmaps", *results.heatmaps, "--images", *results.images]
    arguments += ["--roots", json.dumps({k: str(v) for k, v in results.roots.items()})]
    arguments += ["--digests", tmp_path / "predictions.parquet", "--html", tmp_path / "r.html"]
    arguments += ["--configuration", tmp_path / "configuration.json"]
    command = [sys.executable, SCRIPT, *arguments]
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    # All but the provenance, which tells when and where this page was made.
    ours, theirs = (
        page.split('<section id="provenance">')[0]
        for page in (html, (tmp_path / "r.html").read_text())
    )
    assert ours == theirs
    assert f"sha256 of {tmp_path / 'predictions.parquet'}" in (tmp_path / "r.html").read_text()


def test_a_radiograph_that_is_gone_is_one_line(made, tmp_path):
    results, config = made
    with pytest.raises(ValueError, match=r"\.png"):
        render(dataclasses.replace(results, roots={"fake": tmp_path}), config, KINDS)


def test_report_imports_no_torch():
    code = (
        "import sys; sys.path.insert(0, 'scripts'); import report; "
        "from importlib import import_module; from shamsul.report.sections import SECTIONS; "
        "[import_module(f'shamsul.report.sections.{s.name}') for s in SECTIONS]; "
        "sys.exit(bool({'torch', 'sklearn', 'skimage', 'matplotlib', 'numba'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPT.parents[1], check=False)
    assert done.returncode == 0
