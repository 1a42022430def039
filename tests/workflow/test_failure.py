"""A job that fails is told as failed, with its own words, and its log keeps them."""

import copy

from tests.experiment import SMALL, Experiment


def test_a_failing_program_fails_its_job(tmp_path):
    configuration = copy.deepcopy(SMALL)
    experiment = Experiment(tmp_path, configuration)
    experiment.snakemake(f"results/{configuration['run']}/shards/test-0000.files.parquet")
    radiograph = next((experiment.results / "phantom").rglob("test/*/*/*.jpg"))
    radiograph.write_bytes(b"not an image any more")
    done = experiment.snakemake(*("--forcerun", "manifest", "--until", "manifest"), check=False)
    told = done.stdout + done.stderr
    assert done.returncode != 0 and "completed successfully" not in told
    assert "Error in rule manifest" in told
    log = (experiment.results / "logs" / "manifest.log").read_text()
    assert str(radiograph.relative_to(tmp_path)) in log and "not a readable image" in log
