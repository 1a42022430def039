"""What the report says beside the localisation itself, from small tables made by hand."""

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from shamsul.data.masks import MASK_COLUMNS, encode
from shamsul.geometry import Frame
from shamsul.report import overlay
from shamsul.report.findings import over_prior
from shamsul.report.gate import failures
from shamsul.report.methods import Methods
from shamsul.report.page import render
from shamsul.report.run import Run
from shamsul.report.sections import (
    agreement,
    chexlocalize,
    faithfulness,
    markers,
    sanity,
    signs,
    summary,
)
from shamsul.report.sections.gallery import Choice, examples
from shamsul.storage.heatmaps import Heatmaps, RunLengths, write_heatmaps
from shamsul.storage.images import Images, write_images
from tests.results import KINDS, changed, make

METHODS = Methods(["cam", "lrp", "prior", "reader"], {"prior": "control", "reader": "human"}, "x")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def html(made):
    return render(*made, KINDS)


def section_html(html, name):
    found = re.search(f'<section id="{name}">(.*?)</section>', html, re.S)
    return found.group(1) if found else None


def section(html, name):
    """The words of a section."""
    found = section_html(html, name)
    return " ".join(re.sub("<[^>]*>", " ", found).split()) if found else None


def row_of(grid, method):
    return dict(grid.rows)[method]


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        ([], "3 explanation methods"),
        (["control"], "2 explanation methods and a control"),
        (["control", "human"], "an explanation method, a control and a reader"),
        (["control", "control", "human"], "2 controls and a reader"),
    ],
)
def test_kinds_are_counted_apart(kinds, said):
    names = ["a", "b", "c"]
    assert Methods(names, dict(zip(names, kinds, strict=False)), "a").counted() == said


def test_less_false_alarm_is_better(made, html):
    results, _ = made
    alarms = (
        results.tables["localisation"]
        .query(
            "split == 'test' and metric == 'false_alarm_area' and threshold_rule == 'otsu' "
            "and `class` == 'pooled'"
        )
        .set_index("method")["mean"]
    )
    best = alarms.drop(list(KINDS), errors="ignore").idxmin()
    row = re.search(r"False-alarm area, Otsu ↓</th>(.*?)</tr>", html, re.S).group(1)
    assert f">{best}<" in row
    panel = html.split("Method by class: False-alarm area, Otsu")[1].split("</table>")[0]
    shades = {
        method: sum(int(colour[i : i + 2], 16) for i in (0, 2, 4))
        for method, colour in re.findall(
            r'<th scope="row">(\w+)</th>\s*<td class="cell[^"]*" style="background:#(\w+)', panel
        )
    }
    # The less is marked, the darker.
    assert shades[alarms.idxmin()] < shades[alarms.idxmax()]


def gain(reference, method, difference, verdict, **more):
    row = {"reference": reference, "reference_method": f"the {reference}", "class": "pooled"}
    row |= {"method": method, "threshold_rule": "otsu", "metric": "iou", "mean": 0.3}
    row |= {"reference_mean": 0.6, "difference": difference, "low": difference - 0.1}
    row |= {"high": difference + 0.1, "p_adjusted": 0.2, "percent": np.nan, "detectable": 0.1}
    row |= {"percent_low": np.nan, "percent_high": np.nan, "n_masks": 9, "verdict": verdict}
    return row | {"ceiling": np.nan, "ceiling_share": np.nan, "prior_masks": 7} | more


def sentences(made, *rows, **others):
    """About Grad-CAM, which is the best in the made-up results."""
    results, config = made
    none = pd.DataFrame([gain("prior", "grad_cam", 0, "")]).iloc[:0]
    gains = pd.DataFrame(rows) if rows else none
    methods = Methods(["grad_cam", "lrp_z", "mean_mask", "reader", "random"], KINDS, "random")
    config = config | {"evaluate": config["evaluate"] | {"thresholds": ["otsu"]}}
    methods = replace(
        methods, **{k: others.pop(k) for k in ("failing", "simulated") if k in others}
    )
    run = Run(changed(results, gains=gains, **others), config, methods)
    said = summary.context(run)["sentences"]
    return re.sub("<[^>]*>", "", " ".join(said))


def of_classes(made, verdicts):
    """Rows of both explanation methods against the prior in each class of the made-up results."""
    names = sorted(set(made[0].tables["localisation"]["class"]) - {"pooled", "macro"})
    return [
        gain("prior", method, 0.1, verdict, **{"class": name})
        for name, pair in zip(names, verdicts, strict=False)
        for method, verdict in zip(("grad_cam", "lrp_z"), pair, strict=True)
    ], names


def test_the_first_method_and_what_it_is_over_all_masks(made):
    said = sentences(made, gain("prior", "grad_cam", 0.02, "not distinguishable"))
    assert "the first of 2 explanation methods is grad_cam" in said
    assert "Over all masks grad_cam is not distinguishable from the position prior" in said
    assert "+0.020, −0.080 to +0.120, p = 0.20" in said


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ("better", "is better than the position prior"),
        ("equivalent", "is within the margin of the position prior"),
        ("cannot be told", "is not to be told, with so few patients, from the position prior"),
        ("the same", "is on every mask the same as the position prior"),
        ("", "is not tested against the position prior"),
    ],
)
def test_every_verdict_has_its_words(made, verdict, said):
    text = sentences(made, gain("prior", "grad_cam", 0.2, verdict))
    assert said in text and ("p = 0.20" in text) == bool(verdict)


def test_the_prior_is_spoken_of_finding_by_finding(made):
    rows, names = of_classes(made, [("better", "worse"), ("worse", "worse")])
    said = sentences(made, gain("prior", "grad_cam", 0.2, "better"), *rows)
    assert f"Some explanation method is better than the position prior for {names[0]}" in said
    assert f"all are worse for {names[1]}" in said


def test_over_prior_is_one_verdict_on_all():
    assert over_prior(["worse", "better"]) == "better"
    assert over_prior(["worse", "worse"]) == "worse"
    assert over_prior(["equivalent"]) == "equivalent"
    assert over_prior(["worse", "cannot be told"]) == "cannot be told"
    assert over_prior(["cannot be told", "not distinguishable"]) == "not distinguishable"
    assert over_prior([]) == "no prior"


@pytest.mark.parametrize(
    ("percent", "said"),
    [
        ((50, 40, 60), "It is 50 % (40 to 60) short of the mean of the radiologist, 0.60."),
        ((-20, -30, -10), "It is 20 % (10 to 30) above the mean of the radiologist, 0.60."),
    ],
)
def test_gap_to_the_radiologist_in_percent(made, percent, said):
    names = ("percent", "percent_low", "percent_high")
    more = dict(zip(names, percent, strict=True))
    row = gain("radiologist", "grad_cam", -0.3, "worse", **more)
    text = sentences(made, row)
    assert said in text and "grad_cam is worse than the radiologist the radiologist" in text
    assert "No position prior" in text
    text = sentences(made, row, simulated=("the radiologist",))
    assert "worse than the simulated reader the radiologist" in text


def test_without_a_prior_the_summary_says_what_is_not_known(made):
    assert "No position prior (mean_mask) was among the methods" in sentences(made)


def test_what_fails_the_gate_is_not_called_best(made):
    said = sentences(made, failing={"grad_cam": "Randomisation 0.90 (0.80 to 0.95), above 0.5"})
    assert "grad_cam fails the sanity gate, and so cannot be called best" in said
    assert "the one explanation method is lrp_z" in said
    both = {"grad_cam": "why", "lrp_z": "why"}
    assert "No explanation method may be called best" in sentences(made, failing=both)


def test_the_gate_reads_the_tables_verdicts(made):
    results, config = made
    table = results.tables["sanity"]
    chosen = (table["method"] == "grad_cam") & (table["metric"] == "mprt") & (table["stage"] == 0)
    assert chosen.any()
    fails = table.assign(verdict=table["verdict"].mask(chosen, "fails"))
    assert set(failures(fails)) == {"grad_cam"} and not failures(table.iloc[:0])
    html = render(changed(results, sanity=fails), config, KINDS)
    assert "fails sanity</abbr>" in section_html(html, "localisation")
    assert "grad_cam" in section(html, "summary").split("fails the sanity gate")[0]


def test_controls_that_lead_and_measures_that_disagree_are_named(made):
    results, _ = made
    table = results.tables["localisation"]
    ahead = (table["method"] == "mean_mask") & (table["metric"] == "iou")
    lifted = table.assign(mean=table["mean"].mask(ahead, 0.99))
    said = sentences(made, localisation=lifted)
    assert "One control has a better mean: mean_mask 0.99." in said
    lowered = table.assign(mean=table["mean"].mask(ahead | (table["method"] == "random"), 0.0))
    assert "No control has a better mean." in sentences(made, localisation=lowered)
    behind = (table["method"] == "grad_cam") & (table["metric"] == "hit_rate")
    said = sentences(made, localisation=table.assign(mean=table["mean"].mask(behind, 0.0)))
    assert re.search(r"of the \d+ other measures names? another first: .*lrp_z by .*Hit rate", said)


def test_gains_and_strata_show_the_tables_values(made, html):
    results, _ = made
    text = section(html, "gains")
    key = "metric == 'iou' and threshold_rule == 'otsu'"
    for row in results.tables["gains"].query(f"{key} and `class` == 'pooled'").itertuples():
        assert f"{row.difference:+.3f}".replace("-", "−") in text
    text = section(html, "strata")
    assert "Number of positive labels of the image that are pathologies" in text
    labels = results.tables["strata"].query(
        f"{key} and `class` == 'pooled' and variable == 'labels'"
    )
    assert len(labels)
    for row in labels.itertuples():
        assert f"{row.mean:.2f}" in text
        if row.stratum == "multi":
            assert f"difference {row.difference:+.3f}".replace("-", "−") in text
    slopes = results.tables["regressions"].query("outcome == 'iou' and predictor == 'area_ratio'")
    for row in slopes[slopes["class"] == "pooled"].itertuples():
        assert f"{row.slope:+.2f}".replace("-", "−") in text


def sign_table(minmax):
    rows = [
        ("test", "pooled", method, sign, metric, 9, 5, value, 0.0, 1.0)
        for method, values in {"lrp": (0.1, 0.2, minmax), "cam": (0.3, 0.3, 0.3)}.items()
        for sign, value in zip(("positive", "absolute", "minmax"), values, strict=True)
        for metric in ("otsu_area", "iou", "hit_rate")
    ]
    names = ["split", "class", "method", "sign", "metric", "n_masks", "n_patients"]
    return pd.DataFrame(rows, columns=[*names, "mean", "low", "high"])


def test_signs_list_the_methods_for_which_they_matter():
    grid = signs.signs(sign_table(0.93), "segmentation", METHODS)
    assert [name for name, _ in grid.rows] == ["lrp"]
    assert [cell.text for cell in row_of(grid, "lrp")[:3]] == ["0.10", "0.20", "0.93"]
    assert signs.swollen(sign_table(0.93), "segmentation", METHODS) == [("lrp", 0.1, 0.93)]
    # Nothing is said of a whole image where the numbers do not say it.
    assert signs.swollen(sign_table(0.4), "segmentation", METHODS) == []


@pytest.mark.parametrize(
    ("masks", "said"), [(True, "makes no difference"), (False, "not measured")]
)
def test_no_masks_and_no_difference_are_told_apart(made, masks, said):
    results, config = made
    if masks:
        same = results.tables["signs"].groupby("method")["mean"].transform("first")
        others = {"signs": results.tables["signs"].assign(mean=same)}
    else:
        names = ("localisation", "comparisons", "gains", "strata", "regressions", "signs")
        names += ("per_image", "thresholds")
        others = {name: results.tables[name].iloc[:0] for name in names}
    text = section(render(changed(results, **others), config, KINDS), "signs")
    assert said in text and "No map has negative" not in text


@pytest.mark.parametrize(
    ("difference", "verdict", "said"),
    [
        (0.2, "better", "better than lrp_z +0.200, p = 0.010"),
        (-0.2, "worse", "worse than lrp_z −0.200, p = 0.010"),
        (0.2, "not distinguishable", "not distinguishable from lrp_z +0.200, p = 0.010"),
        (0.2, "cannot be told", "cannot be told from lrp_z +0.200, p = 0.010"),
        (0.2, "", "not tested against lrp_z"),
    ],
)
def test_the_runner_up_is_faced_as_the_pairs_of_both_say(made, difference, verdict, said):
    results, config = made
    pairs = results.tables["comparisons"].copy()
    assert set(pairs["method_a"]) >= {"grad_cam"} and "lrp_z" in set(pairs["method_b"])
    pairs["difference"], pairs["p_adjusted"], pairs["verdict"] = difference, 0.01, verdict
    html = render(changed(results, comparisons=pairs), config, KINDS)
    row = re.search(r"IoU, Otsu</th>(.*?)</tr>", section_html(html, "summary"), re.S).group(1)
    cells = [
        " ".join(re.sub("<[^>]*>", " ", cell).split())
        for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.S)
    ]
    assert cells[0] == "grad_cam" and cells[2] == said
    assert "–" not in cells[2] + cells[3]


def test_tests_are_told_as_they_were_made(html):
    text = section(html, "localisation")
    assert "up to 12 patients in all ways, else in 9,999 random ones" in text


def test_agreement_names_what_must_not_be_counted_twice():
    rows = [("cam", "lrp", 0.97), ("cam", "prior", 0.2), ("lrp", "prior", 0.95)]
    table = pd.DataFrame(rows, columns=["method_a", "method_b", "mean"])
    table = table.assign(**{"class": "pooled", "low": 0.1, "high": 0.99, "note": ""})
    table = pd.concat([table, table.assign(**{"class": "Edema", "mean": 1.0})])
    assert agreement.alike(table) == [("cam", "lrp", 0.97), ("lrp", "prior", 0.95)]
    few = table.assign(note=["3 patients, fewer than 5: no interval", *table["note"][1:]])
    assert agreement.alike(few) == [("lrp", "prior", 0.95)]
    grid = agreement.agreement(table, METHODS)
    assert [heading.name for heading in grid.headings] == ["cam", "lrp"]
    assert [cell.text for cell in row_of(grid, "lrp")] == ["0.97", ""]
    assert [cell.text for cell in row_of(grid, "prior")] == ["0.20", "0.95"]


def probe_table(values, **columns):
    table = pd.DataFrame(
        [(m, metric, mean) for (m, metric), mean in values.items()],
        columns=["method", "metric", "mean"],
    )
    return table.assign(
        **{"split": "test", "class": "pooled", "low": 0.0, "high": 1.0}, n_maps=16, **columns
    )


def test_best_of_a_probe_follows_its_direction_among_explanations():
    table = probe_table(
        {
            **{("cam", "deletion"): 0.4, ("lrp", "deletion"): 0.3, ("prior", "deletion"): 0.1},
            **{("cam", "insertion"): 0.4, ("lrp", "insertion"): 0.3, ("prior", "insertion"): 0.9},
        },
        fill="blur",
    )
    grid = faithfulness.faithfulness(table, METHODS)
    assert grid.groups == [("Deletion ↓", 1), ("Insertion ↑", 1)]
    best = {name: [cell.best for cell in cells] for name, cells in grid.rows}
    assert best == {"cam": [False, True], "lrp": [True, False], "prior": [False, False]}


def test_only_the_same_maps_of_the_runs_own_network_compete():
    columns = ["method", "n_maps", "n_missing", "mean"]
    rows = [("cam", 16, 0, 0.4), ("lrp", 16, 0, 0.3), ("few", 1, 0, 0.05)]
    rows += [("other", 16, 0, 0.1), ("folder", 16, 5, 0.2), ("prior", 16, 0, 0.01)]
    table = pd.DataFrame(rows, columns=columns).assign(
        **{"split": "test", "class": "pooled", "low": np.nan, "high": np.nan},
        metric="deletion",
        fill="mean",
    )
    foreign = {"other": "checkpoint", "folder": "elsewhere"}
    methods = Methods([row[0] for row in rows], {"prior": "control"}, "prior", foreign)
    cells = {name: own[0] for name, own in faithfulness.faithfulness(table, methods).rows}
    assert [name for name, cell in cells.items() if cell.best] == ["lrp"]
    assert {name: cell.lines for name, cell in cells.items() if cell.lines} == {"few": ("n = 1",)}
    assert faithfulness.missing(table, methods) == [("folder", 5, 16)]


def test_whose_network_was_asked_is_told(made):
    results, config = made
    text = section(render(results, config, KINDS), "faithfulness")
    assert "no verdict" not in text and "checkpoint" not in text
    table = results.tables["faithfulness"].assign(n_missing=0)
    table.loc[table["method"] == "reader", "n_missing"] = 3
    results = changed(results, faithfulness=table)
    foreign = {"grad_cam": "checkpoint", "lrp_z": "elsewhere"}
    text = section(render(results, config, KINDS, foreign), "faithfulness")
    assert "Another checkpoint is asked where the maps explain that: grad_cam." in text
    assert "The maps of lrp_z do not explain the run's network" in text
    assert "one of zeros counts, which scores as chance does: reader 3 of 16." in text


def test_randomisation_has_no_best():
    values = {("cam", "mprt"): 0.4, ("lrp", "mprt"): 0.3}
    values |= {("cam", "max_sensitivity"): 0.4, ("lrp", "max_sensitivity"): 0.3}
    grid = sanity.sanity(probe_table(values, stage=0), METHODS)
    assert [cell.best for cell in row_of(grid, "lrp")] == [True, False]


def test_what_was_not_measured_is_said_to_be_missing(made, html):
    results, config = made
    bare = {"faithfulness": None, "sanity": None, "chexlocalize": None}
    bare |= {"markers": results.tables["markers"].iloc[:0]}
    text = render(changed(results, **bare), config, KINDS)
    assert "was not asked again" in section(text, "faithfulness")
    assert section(text, "markers") is None and section(text, "chexlocalize") is None
    assert "favour blurred maps" in section(html, "faithfulness")
    assert "a gate and not a ranking" in section(html, "sanity")


def test_the_confounded_class_comes_first_and_shares_are_percent(made):
    results, config = made
    names = [name for name, _, _ in markers.markers(results.tables["markers"], config, METHODS)]
    assert names == ["Edema", "Cardiomegaly"]
    config = {**config, "data": {"sources": [{"adapter": "nih"}]}}
    found = markers.markers(results.tables["markers"], config, METHODS)
    assert [(name, confounded) for name, confounded, _ in found] == [
        ("Cardiomegaly", False),
        ("Edema", False),
    ]
    key = {"split": "tune", "class": "Cardiomegaly", "shown": "yes", "method": "random"}
    own = results.tables["markers"]
    for column, value in key.items():
        own = own[own[column] == value]
    mass, lift = (own[own["metric"] == name]["mean"].item() for name in ("relevance_mass", "lift"))
    assert found[0][2].groups[0][0].startswith("tune, with Cardiomegaly")
    cells = row_of(found[0][2], "random")
    assert [cell.text for cell in cells[:2]] == [f"{100 * mass:.2f}", f"{lift:.2f}"]


def test_chexlocalize_beside_ours_are_means_over_the_same_classes():
    names = ["method", "metric", "class", "n", "lower", "mean", "upper", "percent_decrease"]
    rows = [("cam", "iou", "A", 2, 0, 0.2, 1, np.nan), ("cam", "iou", "B", 3, 0, 0.4, 1, np.nan)]
    rows += [("cam", "iou", "average", None, None, 0.3, None, 50.0)]
    theirs = pd.DataFrame(rows, columns=names).assign(percent_lower=40.0, percent_upper=60.0)
    ours = [("A", "otsu", 0.1, 4), ("B", "otsu", 0.2, 5), ("B", "tuned", 0.9, 5)]
    ours += [("C", "otsu", 0.9, 5), ("pooled", "otsu", 0.9, 14)]
    columns = ["class", "threshold_rule", "mean", "n_masks"]
    localisation = pd.DataFrame(ours, columns=columns).assign(
        split="test", method="cam", metric="iou", low=0.0, high=1.0
    )
    grid = chexlocalize.side_by_side(theirs, localisation, "otsu", METHODS)
    cells = row_of(grid, "cam")
    assert [cell.text for cell in cells if cell] == ["0.300", "0.150", "50.0 %"]
    assert [cell.lines for cell in cells if cell][:2] == [("n = 5",), ("n = 9",)]


def their_table(*rows):
    names = ["method", "metric", "class", "n", "mean", "percent_decrease"]
    table = pd.DataFrame([("cam", "iou", *row) for row in rows], columns=names)
    return table.assign(lower=0.0, upper=1.0, percent_lower=40.0, percent_upper=60.0)


def our_table(*rows):
    names = ["class", "threshold_rule", "mean", "n_masks"]
    return pd.DataFrame(rows, columns=names).assign(
        split="test", method="cam", metric="iou", low=0.0, high=1.0
    )


THEIRS = [("A", 2, 0.2, np.nan), ("B", 3, 0.4, np.nan), ("average", None, 0.3, 50.0)]


def test_chexlocalizes_figures_stay_where_ours_lack_the_rule_or_a_class():
    ours = our_table(("A", "tuned", 0.1, 4))
    tables = their_table(*THEIRS), ours, "otsu", METHODS
    cells = row_of(chexlocalize.side_by_side(*tables), "cam")
    assert [cell and cell.text for cell in cells] == ["0.300", None, None, None, "50.0 %", None]
    by_class = chexlocalize.by_class(*tables, ["A", "B"])[0][1]
    assert [cell and cell.text for cell in row_of(by_class, "cam")] == [
        "0.200",
        None,
        "0.400",
        None,
    ]
    tables = their_table(*THEIRS), our_table(("A", "otsu", 0.1, 4)), "otsu", METHODS
    cells = row_of(chexlocalize.side_by_side(*tables), "cam")
    assert cells[0].lines == ("n = 5",) and cells[1].lines == ("n = 4", "1 of 2 classes")


def test_means_beside_chexlocalizes_are_of_the_classes_that_have_a_figure_there():
    theirs = their_table(("C", 0, np.nan, np.nan), *THEIRS)
    ours = our_table(
        *((name, "otsu", mean, 4) for name, mean in zip("ABC", (0.1, 0.3, 0.9), strict=True))
    )
    cells = row_of(chexlocalize.side_by_side(theirs, ours, "otsu", METHODS), "cam")
    assert [cell.text for cell in cells[:2]] == ["0.300", "0.200"]
    assert [cell.lines for cell in cells[:2]] == [("n = 5",), ("n = 8",)]


def test_an_empty_table_of_chexlocalizes_gives_no_section(made):
    results, config = made
    bare = changed(results, chexlocalize=results.tables["chexlocalize"].iloc[:0])
    assert section(render(bare, config, KINDS), "chexlocalize") is None
    assert section(render(results, config, KINDS), "chexlocalize")


def test_gallery_draws_outlines_and_whole_radiographs(tmp_path, monkeypatch):
    height, width = 60, 120
    frame = Frame.fit(height, width, 32, "pad")
    grey = np.full((height, width), 100, np.uint8)
    Image.fromarray(grey).save(tmp_path / "a.png")
    write_images(Images(np.zeros((1, 32, 32), np.uint8), ["a"], [frame]), tmp_path / "i.h5")
    right = np.zeros((height, width), bool)
    right[20:40, 80:110] = True
    made = np.array([[True, False, True]])
    counts = np.array([[encode(right), "", encode(right)]], object)
    size = np.array([[[height, width], [1, 1], [height, width]]])
    classes = ["A", "B", "C"]
    reader = Heatmaps(
        RunLengths(counts, size), ["a"], made, classes, "reader", {}, "0", covers="radiograph"
    )
    whole = np.zeros((1, 3, 4, 4), np.float32)
    whole[:, :, :, 0] = 1
    filled = Heatmaps(whole, ["a"], made | True, classes, "cam", {}, "0", covers="radiograph")
    shards = [tmp_path / "reader.h5", tmp_path / "cam.h5"]
    for shard, path in zip((reader, filled), shards, strict=True):
        write_heatmaps(shard, path)
    decoded = []
    decode = RunLengths.__getitem__
    monkeypatch.setattr(
        RunLengths, "__getitem__", lambda self, at: decoded.append(at) or decode(self, at)
    )
    left = np.zeros((height, width), bool)
    left[10:30, 10:40] = True
    masks = [("a", name, "x", "segmentation", height, width, encode(left), 1) for name in "AB"]
    found = examples(
        [Choice("a", "A", ""), Choice("a", "B", "")],
        ["cam", "reader"],
        {},
        {},
        pd.DataFrame([("a", "s", "a.png", 8)], columns=["image_id", "source", "path", "depth"]),
        pd.DataFrame(masks, columns=MASK_COLUMNS),
        "segmentation",
        shards,
        [tmp_path / "i.h5"],
        {"s": tmp_path},
    )
    # Only what is shown is decoded, and not what was not made.
    assert decoded == [(0, 0)]
    assert [[shown.made for shown in example.overlays] for example in found] == [
        [True, True],
        [True, False],
    ]
    cam, drawn = (pixels(shown.uri) for shown in found[0].overlays)
    # Pictures are twice as large. The map's first quarter is the radiograph's, not the frame's.
    assert np.ptp(cam[100, 5]) > 60 and np.ptp(cam[100, 100]) < 60
    near = np.abs(drawn - overlay.OTHER).sum(axis=2) < 90
    y, x = np.nonzero(near)
    assert (y.min(), y.max()) == pytest.approx((40, 79), abs=2)
    assert (x.min(), x.max()) == pytest.approx((160, 219), abs=2)
    # An outline, not an area.
    assert not near[50:70, 170:210].any()


def pixels(uri):
    data = base64.b64decode(uri.split(",")[1])
    return np.asarray(Image.open(io.BytesIO(data)), float)
