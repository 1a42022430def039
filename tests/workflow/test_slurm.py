"""The workflow on a Slurm cluster; `tests/slurm/cluster.sh` makes one of this machine.

Run with `pytest -m long tests/workflow/test_slurm.py` where jobs see this machine's files.
"""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.experiment import SMALL, Experiment

# Of `scontrol show job`, on one line: what a job was for, what it was given, and when it ran.
FIELDS = ("JobId", "JobState", "StartTime", "EndTime", "MinMemoryNode", "TresPerJob", "Comment")
# Asked every second: the plugin waits longer each time that nothing has ended, which is right for
# jobs of minutes.
QUICK = """import snakemake_executor_plugin_slurm as plugin

plugin.Executor.next_seconds_between_status_checks = property(lambda self: 1, lambda self, _: None)
"""
SLURM = (
    *("--workflow-profile", "profiles/slurm", "--latency-wait", "5"),
    *("--slurm-init-seconds-before-status-checks", "1"),
)


def answers():
    if shutil.which("sbatch") is None:
        return False
    ping = subprocess.run(["timeout", "10", "scontrol", "ping"], capture_output=True, text=True)
    return "is UP" in ping.stdout


pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not answers(), reason="no Slurm here; see tests/slurm/cluster.sh"),
]


class OnSlurm(Experiment):
    """An experiment whose jobs are submitted."""

    def __init__(self, folder, configuration):
        super().__init__(folder, configuration)
        snakefile = folder / "Snakefile"
        if QUICK not in snakefile.read_text():
            snakefile.write_text(QUICK + snakefile.read_text())

    def submit(self, *options):
        """Start Snakemake, which ends within the hour, however stuck."""
        (self.folder / "config.yaml").write_text(yaml.safe_dump(self.configuration))
        return subprocess.Popen(
            ["timeout", "-k", "10", "3600", sys.executable, "-m", "snakemake", *SLURM, *options],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def jobs(self):
        """What Slurm knows of this experiment's jobs, also of those that have ended."""
        shown = subprocess.run(
            ["scontrol", "--oneliner", "--all", "show", "job"], capture_output=True, text=True
        )
        return [
            {field: match[1] for field in FIELDS if (match := re.search(rf"\b{field}=(\S+)", line))}
            for line in shown.stdout.splitlines()
            if f"WorkDir={self.folder}" in line
        ]

    def cancel(self):
        unfinished = [
            job["JobId"] for job in self.jobs() if job["JobState"] in ("RUNNING", "PENDING")
        ]
        subprocess.run(["scancel", *unfinished] if unfinished else ["true"], check=True)


def rule(job):
    return job["Comment"].removeprefix("rule_").split("_wildcards_")[0]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The small experiment, run on Slurm."""
    on_slurm = OnSlurm(tmp_path_factory.mktemp("slurm"), SMALL)
    try:
        process = on_slurm.submit()
        said, _ = process.communicate()
        assert process.returncode == 0, said
    finally:
        on_slurm.cancel()
    return on_slurm


@pytest.fixture
def on_slurm(experiment):
    """A finished experiment, to go on with on Slurm."""
    slurm = OnSlurm(experiment.folder, experiment.configuration)
    yield slurm
    slurm.cancel()


def test_the_results_are_those_of_a_run_without_slurm(ran, finished):
    here, there = finished.digests(), ran.digests()
    assert here == there and len(here) > 100


def test_jobs_that_ask_the_network_have_the_gpu_to_themselves(ran):
    jobs = ran.jobs()
    with_gpu = [job for job in jobs if job.get("TresPerJob") == "gres:gpu:1"]
    asks = {"train", "predict", "perturb", "explain", "probe"}
    assert {rule(job) for job in with_gpu} == asks
    assert {rule(job) for job in jobs if job not in with_gpu} >= {"images", "score", "explain"}
    gpus = subprocess.run(["sinfo", "-h", "-o", "%G"], capture_output=True, text=True).stdout
    if gpus.strip() == "gpu:1":
        spans = sorted((job["StartTime"], job["EndTime"]) for job in with_gpu)
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
    # A made-up GPU is visible to the job, and torch does not find it.
    for log in ("predict.log", "train.log", "explain/lime/test-0000.log"):
        assert "this job was given a GPU" in (ran.results / "logs" / log).read_text()
    assert "GPU" not in (ran.results / "logs" / "explain/random/test-0000.log").read_text()


def test_a_job_that_is_cancelled_is_tried_again_with_more_memory(on_slurm):
    shard = on_slurm.results / "heatmaps" / "lime" / "test-0001.h5"
    before = shard.read_bytes()
    shard.unlink()
    process = on_slurm.submit(str(on_slurm.relative(shard)))
    while not (running := [j for j in on_slurm.jobs() if j["JobState"] == "RUNNING"]):
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.1)
    subprocess.run(["scancel", running[0]["JobId"]], check=True)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    assert f"SLURM-job '{running[0]['JobId']}' failed, SLURM status is: 'CANCELLED'" in said
    first, second = sorted(on_slurm.jobs(), key=lambda job: int(job["JobId"]))
    assert (first["JobState"], second["JobState"]) == ("CANCELLED", "COMPLETED")
    assert (first["MinMemoryNode"], second["MinMemoryNode"]) == ("4000M", "8000M")
    assert shard.read_bytes() == before


def test_what_failed_is_said_by_snakemake_and_in_the_jobs_log(on_slurm):
    radiograph = next((on_slurm.results / "phantom").rglob("test/*/*/*.jpg"))
    radiograph.write_bytes(b"not an image any more")
    options = ("--until", "manifest", "--retries", "0")
    process = on_slurm.submit(*options)
    said, _ = process.communicate()
    assert process.returncode != 0 and "Error in rule manifest" in said
    fault = f"{on_slurm.relative(radiograph)}: is text; read are PNG"
    assert fault in (on_slurm.results / "logs" / "manifest.log").read_text()
    # Slurm's own log of the job is named, and holds the same.
    own = re.search(r"log: \S*manifest\.log, (\S+/slurm_logs/\S+\.log)", said)
    assert fault in Path(own[1]).read_text()
