"""What would rerun when something changes: exactly what depends on it.

Each change is made to a copy of a finished experiment, and a dry run announces the jobs. They must
be those expected, no more and no fewer. `test_rerun_made.py` runs them.
"""

import re
import shutil

import pytest

from tests.changes import CASES, change, heatmaps, jobs, method, of_methods, sharded
from tests.experiment import SMALL, Experiment


@pytest.mark.parametrize("name", CASES)
def test_exactly_what_changed(experiment, name):
    expected = change(experiment, CASES[name])
    assert experiment.would_run() == expected


def test_a_dry_run_of_the_tests_is_one_of_snakemakes_own(experiment):
    """Also where what Python finds differs, so that jobs of many rules are announced."""
    listing = ("--quiet", "host")

    def said(done):
        """All words of each line, in no order: hashes give that of jobs and of their resources."""
        lines = (done.stdout + done.stderr).splitlines()
        varying = r"\[.*\d\]$|    jobid: "  # The time of day, and numbers in that order.
        words = [sorted(re.findall(r"[^\s,]+", x)) for x in lines if not re.match(varying, x)]
        return done.returncode, sorted(words)

    change(experiment, CASES["torch upgraded"])
    own, ours = experiment.snakemake("--dry-run", *listing), experiment.dry_run(*listing)
    assert said(ours) == said(own) and "rule train:" in ours.stdout
    experiment.configuration["train"]["epoch"] = 3
    own, ours = experiment.snakemake("--dry-run", check=False), experiment.dry_run(check=False)
    assert said(ours) == said(own) and "train.epoch" in ours.stdout + ours.stderr
    assert own.returncode != 0


def test_lost_records_are_told_and_can_be_accepted(experiment):
    shutil.rmtree(experiment.folder / ".snakemake")
    done = experiment.dry_run()
    assert "there is no record of how they were made" in done.stdout + done.stderr
    experiment.snakemake("--touch", "--forceall")
    done = experiment.dry_run()
    told = done.stdout + done.stderr
    assert "no record" not in told and "Nothing to be done" in told
    method("lime", samples=21)(experiment)
    assert experiment.would_run() == heatmaps("lime")


def test_every_job_below_the_manifest_asks_for_it_itself(tmp_path):
    """Snakemake looks anew, once the manifest is made, at those jobs only that ask for it.

    Until then it shows an input that is yet to be determined.
    """
    raw = SMALL | {"evaluate": {"protocol": "chexlocalize"}}
    told = Experiment(tmp_path, raw).dry_run("--quiet", "host").stdout
    found = re.findall(
        r"^(?:local)?(?:rule|checkpoint) (\w+):\n    input: (.*)", told, re.MULTILINE
    )
    asking = {rule for rule, files in found if "<TBD>" in files}
    above = {"phantom", "listing", "manifest"}
    assert len(asking) > 15 and {rule for rule, _ in found} - asking == above | {"all"}


def test_the_targets_of_the_stages_are_parts_of_the_whole(experiment):
    experiment.configuration["seed"] = 7
    assert experiment.would_run("train") == jobs("train")
    made = experiment.would_run("heatmaps")
    assert made == jobs("train") | sharded("perturb") | of_methods("explain")
    assert experiment.would_run("report") == experiment.would_run()
    assert experiment.would_run("metrics") == experiment.would_run() - jobs("report")
    # `--until` leaves out what the rule makes of its own results.
    assert experiment.would_run("--until", "explain") == made - of_methods("explain", ["consensus"])
