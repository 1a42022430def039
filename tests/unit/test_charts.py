"""Figures of a paper: their files, sizes and numbers, and what they say of the methods."""

import re
import sys
from types import SimpleNamespace

import pandas as pd
import pytest
from PIL import Image

from shamsul.charts.catalogue import FIGURES, write
from shamsul.charts.localisation import ranking
from shamsul.charts.measure import Measure, ranked
from shamsul.errors import InputError
from shamsul.results import open_run
from tests.results import make
from tests.unit.test_command import invoked, shamsul_command

TUNED = Measure("iou", "tuned")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Made-up results, read as those of a run are."""
    results, _ = make(tmp_path_factory.mktemp("results"))
    tables = {name: table.copy() for name, table in results.tables.items()}
    methods = tables["localisation"]["method"].unique()
    kinds = dict.fromkeys(methods, "explanation") | {
        "random": "control",
        "mean_mask": "control",
        "reader": "human",
    }
    return SimpleNamespace(table=tables.__getitem__, tables=list(tables), kinds=kinds)


def files(run, folder, measure=TUNED, width=183.0, name=""):
    return {figure.name: made for figure, made in write(run, folder, measure, width, name)}


@pytest.mark.parametrize("width", [89.0, 183.0])
def test_every_figure_is_as_wide_as_a_column_in_all_its_files(run, tmp_path, width):
    made = files(run, tmp_path, width=width)
    assert set(made) == {figure.name for figure in FIGURES}
    assert [name for name, paths in made.items() if not paths] == ["cost"]  # Nothing explained.
    for paths in filter(None, made.values()):
        svg, png, csv, tex = paths
        found = re.search(r'width="([0-9.]+)mm" height="([0-9.]+)mm"', svg.read_text())
        # The title of a narrow panel may be wider than the panel.
        assert abs(float(found[1]) - width) < 6, svg
        with Image.open(png) as image:
            assert image.width == pytest.approx(float(found[1]) / 25.4 * 300, abs=3)
        assert len(pd.read_csv(csv)) and r"\toprule" in tex.read_text()


def test_the_numbers_of_a_figure_are_those_of_the_table(run, tmp_path):
    _, _, csv, _ = files(run, tmp_path, name="matrix")["matrix"]
    found = pd.read_csv(csv).set_index(["class", "method"])["mean"]
    table = run.table("localisation")
    wanted = table[
        (table["split"] == "test")
        & (table["metric"] == "iou")
        & (table["threshold_rule"] == "tuned")
    ].set_index(["class", "method"])["mean"]
    pd.testing.assert_series_equal(found, wanted, check_index_type=False)
    assert len(found) == 5 * 4  # Two classes, all masks and the mean over classes.


def test_files_are_the_same_each_time(run, tmp_path):
    one, other = (files(run, tmp_path / name, name="gains")["gains"] for name in "ab")
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]


def pairs(*rows):
    columns = ["method_a", "method_b", "verdict"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(metric="iou", threshold_rule="tuned", **{"class": "pooled"})


def test_the_verdict_is_told_from_the_others_side():
    means = pd.DataFrame(
        {
            "method": ["b", "a", "c", "reader"],
            "mean": [0.5, 0.4, 0.3, 0.9],
            "split": "test", "class": "pooled", "metric": "iou", "threshold_rule": "tuned",
            "low": 0.1, "high": 0.95, "n_masks": 9, "n_patients": 9,
        }
    )  # fmt: skip
    tables = {
        "localisation": means,
        # a is worse than b, b is better than c, and than b the reader is better.
        "comparisons": pairs(("a", "b", "worse"), ("b", "c", "better"), ("b", "reader", "worse")),
    }
    kinds = dict.fromkeys("abc", "explanation") | {"reader": "human"}
    _, table = ranking(SimpleNamespace(table=tables.__getitem__, kinds=kinds), TUNED, 300)
    told = dict(zip(table["method"], table["against_first"], strict=True))
    assert told == {"reader": "better", "b": "first: b", "a": "worse", "c": "worse"}


def test_the_best_method_comes_first_also_where_less_is_better():
    means = pd.DataFrame({"class": "pooled", "method": list("cab"), "mean": [0.2, 0.1, 0.2]})
    assert ranked(means, TUNED) == ["b", "c", "a"]
    assert ranked(means, Measure("false_alarm_area", "otsu")) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("iuo:tuned", "did you mean 'iou'"),
        ("iou", "say by which threshold: iou:"),
        ("iou:tunde", "did you mean 'tuned'"),
        ("auprc:otsu", "threshold rule"),
    ],
)
def test_a_measure_that_is_not_there_is_told_with_what_is(run, text, said):
    with pytest.raises(InputError, match=re.escape(said)):
        Measure.of(text, run.table("per_image"))
    assert Measure.of("auprc", run.table("per_image")) == Measure("auprc", "none")


def test_no_cell_is_a_formula(run, tmp_path):
    def table(name):
        found = run.table(name)
        return found.replace({"class": {"Edema": '=HYPERLINK("http://a")'}})

    hostile = SimpleNamespace(table=table, tables=run.tables, kinds=run.kinds)
    _, _, csv, tex = files(hostile, tmp_path, name="matrix")["matrix"]
    cells = pd.read_csv(csv)["class"]
    assert '\'=HYPERLINK("http://a")' in set(cells) and not cells.str.startswith("=").any()


def test_a_missing_library_is_told_with_the_command_that_brings_it(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(InputError, match=r"pip install 'shamsul\[figures\]'"):
        files(run, tmp_path)


def test_a_finished_run_is_drawn_by_one_command(finished, tmp_path):
    command = ("figures", str(finished.results), str(tmp_path / "out"), "--only")
    assert "ranking.{svg, png, csv, tex}" in invoked(*command, "ranking")
    kinds = open_run(finished.results).kinds
    assert kinds["random"] == "control" and kinds["radiologist"] == "human"
    table = pd.read_csv(tmp_path / "out" / "ranking.csv")
    assert dict(zip(table["method"], table["kind"], strict=True)).items() <= kinds.items()
    done = shamsul_command(*command, "rankings")
    assert done.returncode == 1 and "did you mean 'ranking'" in done.stderr
