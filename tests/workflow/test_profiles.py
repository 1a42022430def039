"""What the profiles make of the rules' requests, as far as a dry run tells."""

import importlib.util
import re

import pytest

from shamsul.job.fingerprint import PROJECT
from tests.experiment import SMALL, Experiment

ASK_THE_NETWORK = {"train", "predict", "perturb", "probe", "grad_cam", "lime"}


def requests(experiment, *options):
    """Resources of a job of each rule, and of each method's heatmaps."""
    done = experiment.dry_run("--quiet", "host", *options)
    found = {}
    for rule, details in re.findall(
        r"^(?:rule|checkpoint) (\w+):\n((?:    .*\n)*)", done.stdout, re.M
    ):
        method = re.search(r"wildcards: method=(\w+)", details) if rule == "explain" else None
        resources = re.search(r"resources: (.*)", details)[1]
        found[method[1] if method else rule] = dict(re.findall(r"(\w+)=([^,]*)", resources))
    return found


@pytest.fixture
def fresh(tmp_path):
    return Experiment(tmp_path, dict(SMALL))


@pytest.mark.parametrize("name", sorted(p.name for p in (PROJECT / "profiles").iterdir()))
def test_of_a_cluster_jobs_that_ask_the_network_request_a_gpu_and_no_others(fresh, name):
    if name == "default":
        pytest.skip("no cluster")
    if importlib.util.find_spec(f"snakemake_executor_plugin_{name.replace('-', '_')}") is None:
        pytest.skip("plugin not installed")
    found = requests(fresh, "--workflow-profile", f"profiles/{name}")
    assert {job for job, of in found.items() if of.get("gpu", "0") != "0"} == ASK_THE_NETWORK
    assert found["score"]["mem_mb"] == "2000" and found["score"]["runtime"] == "60"


def test_a_cluster_that_may_or_may_not_have_gpus_is_refused(fresh):
    pytest.importorskip("snakemake_executor_plugin_slurm")
    slurm = ("--workflow-profile", "profiles/slurm")
    # It takes the place of the profile's `config`, which says that there are GPUs.
    done = fresh.snakemake(*slurm, "--config", "seed=2023", check=False)
    assert done.returncode != 0
    assert "compute.gpu: is required" in done.stdout + done.stderr
    assert not (fresh.folder / "results").exists()


@pytest.mark.parametrize("compute", [{"gpu": False}, {"gpu": True, "device": "cpu"}])
def test_without_a_gpu_all_compute_on_the_processor(fresh, compute):
    fresh.configuration["compute"] = compute
    found = requests(fresh)
    assert {of.get("gpu", "0") for of in found.values()} == {"0"}
    assert {found[job]["device"] for job in ASK_THE_NETWORK} == {"cpu"}


def test_requesting_a_gpu_reruns_nothing(experiment):
    experiment.configuration["compute"] = {"gpu": True}
    assert experiment.would_run() == set()
