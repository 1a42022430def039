"""The jobs that `shamsul plan` counts are those that Snakemake plans."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import torch
import yaml

from shamsul import experiment, plan
from shamsul.command import shipped
from shamsul.labels import CLASSES
from tests.experiment import SMALL
from tests.networks import built

pytestmark = pytest.mark.workflow

PROTOCOL = {**SMALL, "evaluate": {"protocol": "chexlocalize"}, "probe": {"images": 0}}
GIVEN = {
    **SMALL,
    "model": {"network": "densenet_small", "checkpoint": "weights.pt"},
    "explain": {"methods": [{"method": "random"}, {"method": "gaussian"}]},
}


@pytest.mark.parametrize(
    "raw",
    [shipped.load(shipped.configuration("phantom")), PROTOCOL, GIVEN],
    ids=["phantom", "protocol", "checkpoint"],
)
def test_the_jobs_are_those_of_a_dry_run(tmp_path, raw):
    torch.save(built("densenet_small", len(CLASSES), 64).state_dict(), tmp_path / "weights.pt")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(raw))
    command = [sys.executable, "-m", "shamsul", "run", "mine.yaml", "--dry-run"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    text = (done.stdout + done.stderr).split("Job stats:")[1]
    planned = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", text, re.M)}
    total = planned.pop("total")
    assert plan.jobs(experiment.read(raw)) == planned and sum(planned.values()) == total
