"""Two runs side by side: equal ones do not differ, a planted difference is found where it is."""

import copy
import json
import re
import shutil

import pandas as pd
import pytest

from shamsul.charts import run_pair
from shamsul.charts.measure import Measure
from shamsul.errors import InputError
from shamsul.evaluate.comparisons import comparisons
from shamsul.evaluate.parameters import Comparison
from shamsul.evaluate.run_differences import RUN_DIFFERENCES, run_differences
from shamsul.results import open_run
from tests.results import make
from tests.unit.test_command import invoked

SETTINGS = Comparison(confidence=0.95, min_patients=5, baseline="random", margin=0.05)
TUNED = Measure("iou", "tuned")


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    results, _ = make(tmp_path_factory.mktemp("results"))
    return results.tables["per_image"]


def test_a_run_does_not_differ_from_itself(scored):
    table = run_differences(scored, scored, SETTINGS, 1)
    assert list(table) == RUN_DIFFERENCES and len(table)
    assert (table["difference"] == 0).all() and set(table["verdict"]) <= {"the same", ""}


def test_a_planted_difference_is_found_where_it_is_and_nowhere_else(scored):
    better = scored.copy()
    planted = (better["method"] == "grad_cam") & (better["metric"] == "iou")
    better.loc[planted, "value"] += 0.25
    table = TUNED.rows(run_differences(scored, better, SETTINGS, 1)).set_index(["class", "method"])
    row = table.loc[("pooled", "grad_cam")]
    assert row["difference"] == pytest.approx(0.25) and row["verdict"] == "better"
    assert row["mean_b"] == pytest.approx(row["mean_a"] + 0.25)
    others = table.drop(index="grad_cam", level="method")
    assert set(others["verdict"]) <= {"the same", ""}
    back = TUNED.rows(run_differences(better, scored, SETTINGS, 1)).set_index(["class", "method"])
    assert back.loc[("pooled", "grad_cam"), "verdict"] == "worse"


def test_it_is_the_comparison_of_two_methods_of_one_run(scored):
    """Of a family of one method: the same values as two methods in one table."""
    one = scored[scored["method"] == "lrp_z"]
    other = scored[scored["method"] == "grad_cam"]
    found = run_differences(one, other.assign(method="lrp_z"), SETTINGS, 3)
    expected = comparisons(
        pd.concat([one.assign(method="z"), other.assign(method="g")]), SETTINGS, 3
    )
    keys = ["metric", "threshold_rule", "class"]
    same = [*keys, "n_masks", "n_patients", "difference", "low", "high", "p_adjusted", "verdict"]
    pd.testing.assert_frame_equal(
        found.sort_values(keys, ignore_index=True)[same],
        expected.sort_values(keys, ignore_index=True)[same],
    )


def test_only_the_masks_of_both_count(scored):
    images = sorted(set(scored.loc[scored["split"] == "test", "image_id"]))
    part = scored[scored["image_id"].isin(images[: len(images) // 2])]
    table = TUNED.rows(run_differences(scored, part, SETTINGS, 1))
    row = table.set_index(["class", "method"]).loc[("pooled", "grad_cam")]
    wanted = TUNED.rows(part)
    wanted = wanted[(wanted["method"] == "grad_cam") & (wanted["repeats"] == "")]
    assert row["n_masks"] == len(wanted) and row["mean_a"] == pytest.approx(wanted["value"].mean())
    apart = scored.assign(image_id=scored["image_id"] + "x")
    assert run_differences(scored, apart, SETTINGS, 1).empty


def test_keys_that_differ_are_told_by_their_names():
    one = {
        "run": "a", "seed": 1, "data": {"size": [64, 64]},
        "explain": {"methods": [{"name": "lime", "samples": 100}, {"name": "cam"}]},
    }  # fmt: skip
    other = copy.deepcopy(one) | {"run": "b"}
    assert list(run_pair.changes(one, other)) == []
    other["explain"]["methods"][0]["samples"] = 200
    other["explain"]["methods"].append({"name": "rise"})
    other["data"]["size"] = [96, 64]
    assert list(run_pair.changes(one, other)) == [
        ("data.size", "[64, 64]", "[96, 64]"),
        ("explain.methods.lime.samples", "100", "200"),
        ("explain.methods.rise.name", "absent", '"rise"'),
    ]


def test_the_command_tells_a_change_of_a_finished_run(finished, tmp_path):
    changed = shutil.copytree(
        finished.results, tmp_path / "other", ignore=shutil.ignore_patterns("phantom", "images")
    )
    file = changed / "configuration.json"
    content = json.loads(file.read_text())
    content["config"]["seed"] = 5
    file.write_text(json.dumps(content))
    told = invoked("compare", str(finished.results), str(changed), "--output",
                   str(tmp_path / "d.csv"))  # fmt: skip
    assert re.search(r"\n  seed +\d+ +5\n", told)
    assert re.search(r"[1-9]\d* in both, 0 in a alone, 0 in b alone", told)
    assert "Verdicts over all masks that differ\n  no difference" in told
    assert (pd.read_csv(tmp_path / "d.csv")["difference"] == 0).all()
    file.unlink()
    with pytest.raises(InputError, match=r"configuration\.json: not readable"):
        _ = open_run(changed).configuration
