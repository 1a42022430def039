"""What Snakemake's workflow catalogue asks of a repository, and what goes into the image."""

import yaml

from shamsul.job.fingerprint import PROJECT
from tests.experiment import PARTS


def test_the_catalogue_finds_what_it_looks_for():
    readme = (PROJECT / "README.md").read_text().lower()
    assert "snakemake" in readme and "workflow" in readme
    assert (PROJECT / "Snakefile").is_file() and not (PROJECT / "workflow").exists()
    assert {file.suffix for file in (PROJECT / "rules").iterdir() if file.is_file()} == {".smk"}
    assert (PROJECT / "config" / "README.md").is_file()
    (usage,) = yaml.safe_load((PROJECT / ".snakemake-workflow-catalog.yml").read_text()).values()
    assert set(usage) == {"mandatory-flags", "software-stack-deployment", "report"}
    assert set(usage["software-stack-deployment"]) <= {"conda", "apptainer", "apptainer+conda"}


def test_the_image_holds_what_an_experiment_needs():
    lines = (PROJECT / ".dockerignore").read_text().splitlines()
    kept = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert {*PARTS, "pyproject.toml", "config.yaml", "configs"} == kept
    assert "*" in lines and all((PROJECT / part).exists() for part in kept)
