"""A job that fails is told as failed, with its own words, and its log keeps them."""

import copy
from pathlib import Path

import pandas

from tests.experiment import SMALL, Experiment


def test_a_failing_program_fails_its_job(tmp_path):
    configuration = copy.deepcopy(SMALL)
    experiment = Experiment(tmp_path, configuration)
    experiment.snakemake(f"results/{configuration['run']}/shards/test-0000.files.parquet")
    radiograph = next((experiment.results / "phantom").rglob("test/*/*/*.jpg"))
    radiograph.write_bytes(b"not an image any more")
    done = experiment.snakemake("--until", "manifest", check=False)
    told = done.stdout + done.stderr
    assert done.returncode != 0 and "completed successfully" not in told
    assert f"failed: results/{configuration['run']}/logs/manifest.log: error: " in told
    log = (experiment.results / "logs" / "manifest.log").read_text()
    assert str(experiment.relative(radiograph)) in log and ": is text; read are PNG" in log


def test_one_failing_method_stops_no_other_and_a_partial_report_names_it(experiment):
    module = experiment.folder / "shamsul" / "explain" / "surrogate.py"
    module.write_text(module.read_text() + "\nLime.explain = lambda *_: 1 / 0\n")
    done = experiment.snakemake(check=False)
    told = done.stdout + done.stderr
    assert done.returncode != 0 and "ZeroDivisionError" in told
    assert "logs/explain/lime/" in told
    methods = {Path(file).parent.name for file in (experiment.results / "heatmaps").glob("*/*.h5")}
    assert methods == {"grad_cam", "random", "shared_lime", "consensus", "radiologist"}
    before = (experiment.results / "report.html").read_text()
    assert "Partial report" not in before

    done = experiment.snakemake("--config", "partial=true")
    report = (experiment.results / "report.html").read_text()
    assert "Partial report" in report
    assert "results/small/heatmaps/lime/" in report and "logs/explain/lime/" in report
    # Of the same module; its maps are of shared predictions, and to probe them it explains anew.
    assert "logs/probe/shared_lime/" in report
    tables = experiment.results / "tables"
    judged = set(pandas.read_parquet(tables / "localisation.parquet")["method"])
    assert judged == methods - {"shared_lime"}


def test_a_partial_report_needs_its_baseline(experiment):
    (experiment.results / "scores" / "random" / "test-0000.parquet").unlink()
    done = experiment.snakemake("--config", "partial=true", check=False)
    told = done.stdout + done.stderr
    assert done.returncode != 0 and "Traceback" not in told
    assert "scores/random/test-0000.parquet is missing of random, the evaluate.baseline" in told
