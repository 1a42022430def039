"""Runs that are killed at random moments and started again end with the same bytes.

A moment is so many finished jobs and a time after the last of them, as an undisturbed run had them,
so that moments are spread over the whole run however busy the machine is.
"""

import base64
import json
import math
import os
import random
import re
import signal
import subprocess
import time
from collections import Counter

import pandas as pd
import pytest
import yaml

from shamsul.job.fingerprint import PROJECT
from tests.experiment import SMALL, Experiment

pytestmark = pytest.mark.long

STARTED = re.compile(r"^(?:local)?(?:rule|checkpoint) (\w+):\n((?:    .*\n)*)", re.MULTILINE)


class Run:
    """Snakemake in a session of its own, and what it has said so far."""

    def __init__(self, experiment):
        self.begun = time.monotonic()
        self.log = experiment.folder / "snakemake.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                experiment.command("--quiet", "host"),
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=experiment.folder,
                start_new_session=True,
            )

    def finished(self):
        """Number of jobs that it has recorded as done."""
        return len(re.findall("^Finished jobid", self.log.read_text(), re.MULTILINE))

    def started(self):
        """Jobs that it has started, rule and wildcards, with the files that they make."""
        jobs = {}
        for rule, details in STARTED.findall(self.log.read_text()):
            facts = dict(re.findall(r"^    (output|wildcards): (.*)$", details, re.MULTILINE))
            if "output" in facts:
                jobs[rule, facts.get("wildcards", "")] = set(facts["output"].split(", "))
        return jobs

    def until(self, finished=None, moment=math.inf):
        """Wait for a number of jobs or a moment, at most for the end; whether the run goes on."""
        while self.process.poll() is None:
            if time.monotonic() >= moment or self.finished() >= (finished or math.inf):
                return True
            time.sleep(0.05)
        return False

    def kill(self, everything):
        """As a power cut ends it, or as the kernel does where memory is short: without its jobs."""
        (os.killpg if everything else os.kill)(self.process.pid, signal.SIGKILL)
        self.process.wait()


def pair(folder, configuration):
    """Two experiments of one configuration, neither of them run."""
    for name in ("undisturbed", "killed"):
        (folder / name).mkdir()
        yield Experiment(folder / name, configuration)


def timeline(experiment):
    """Run undisturbed; seconds at which each job was done, and at which the run was."""
    run, times = Run(experiment), []
    while run.until(finished=len(times) + 1):
        times += [time.monotonic() - run.begun] * (run.finished() - len(times))
    assert run.process.returncode == 0, run.log.read_text()
    return times, time.monotonic() - run.begun


def recorded(experiment):
    """Output files of the jobs whose end Snakemake has recorded."""
    folder = experiment.folder / ".snakemake"
    return {name for name, file in _marks(folder / "metadata") if _is_whole(file)} - {
        name for name, file in _marks(folder / "incomplete")
    }


def _marks(folder):
    for file in folder.rglob("*"):
        if file.is_file():
            # A long name is divided among folders, with @ before all parts but the last.
            name = str(file.relative_to(folder)).replace("/", "").replace("@", "")
            yield base64.urlsafe_b64decode(name).decode(), file


def _is_whole(record):
    try:
        return bool(json.loads(record.read_text()))
    except ValueError:
        return False


def campaign(experiment, undisturbed, times, length, kills, seed):
    """Kill a run at random moments, restart it each time, and compare what it makes in the end."""
    generator = random.Random(seed)
    moments = sorted(generator.uniform(0, length) for _ in range(kills))
    begun, hit, starts, done, killed = time.monotonic(), Counter(), Counter(), 0, 0
    last = 0.0
    for number, moment in enumerate(moments):
        before = [at for at in times if at <= moment]
        # What was in the middle of a job at the kill before goes on from there, or nearly.
        later = moment - max(*before, last, 0.0)
        last = moment
        known, run = recorded(experiment), Run(experiment)
        if done < len(before):
            run.until(finished=len(before) - done)
        if run.until(moment=time.monotonic() + later):
            run.kill(everything=number % 2 == 0)
            killed += 1
        check(run, known, starts)
        now = recorded(experiment)
        hit.update(job[0] for job, files in run.started().items() if not files <= now)
        done += run.finished()
        experiment.snakemake("--unlock")
    known, run = recorded(experiment), Run(experiment)
    run.until()
    assert run.process.returncode == 0, run.log.read_text()
    check(run, known, starts)
    print(
        f"{killed} of {kills} kills before the end, in {time.monotonic() - begun:.0f} s after"
        f" {length:.0f} s undisturbed; hit: {dict(hit)}; jobs begun more than once:"
        f" {sum(count > 1 for count in starts.values())} of {len(starts)}"
    )
    assert killed >= kills * 3 // 4
    expected, found = undisturbed.digests(), experiment.digests()
    assert set(found) == set(expected)
    assert {name for name in expected if found[name] != expected[name]} == set()
    one, other = (
        pd.read_parquet(run.results / "tables" / "history.parquet").drop(columns="seconds")
        for run in (undisturbed, experiment)
    )
    pd.testing.assert_frame_equal(one, other)


def check(run, known, starts):
    """No job was started whose end had been recorded; count what was started."""
    jobs = run.started()
    assert {job for job, files in jobs.items() if files <= known} == set()
    starts.update(list(jobs))


def test_the_small_experiment(tmp_path):
    """Its jobs are never told that Snakemake is gone, so that they go on beside the next run's."""
    undisturbed, killed = pair(tmp_path, SMALL)
    times, length = timeline(undisturbed)
    shell = killed.folder / "scripts" / "job.sh"
    text = shell.read_text()
    assert "SHAMSUL_PARENT=$PPID" in text
    shell.write_text(text.replace("SHAMSUL_PARENT=$PPID", "SHAMSUL_PARENT="))
    campaign(killed, undisturbed, times, length, kills=4, seed=5)


def test_the_default_experiment(tmp_path):
    configuration = yaml.safe_load((PROJECT / "config.yaml").read_text())
    undisturbed, killed = pair(tmp_path, configuration)
    times, length = timeline(undisturbed)
    campaign(killed, undisturbed, times, length, kills=20, seed=2023)
    left = [p for p in killed.results.rglob(".*") if p.is_file()]
    assert left == []
