"""What may befall a run: it is stopped, killed, short of disk or memory, started twice, moved.

Long campaigns of kills are in `test_kill.py`. Here a job is held until it is told to go on, so that
the run can be met in the middle.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.experiment import Experiment

IMAGES = "results/small/images/test-0000.h5"
HELD = """
    import os, time
    Path("held").write_text(str(os.getpid()))
    while not Path("go").exists():
        time.sleep(0.05)
"""


KILLED = """
    import os
    if not Path("killed").exists():
        Path("killed").touch()
        os.kill(os.getpid(), 9)
"""


def insert(experiment, code):
    """Have the program that makes image shards do something before it does its work."""
    script = experiment.folder / "scripts" / "images.py"
    first = "    folders = {"
    text = script.read_text()
    assert text.count(first) == 1
    script.write_text(text.replace(first, f"{code.lstrip(chr(10))}{first}"))


@pytest.fixture
def held(experiment):
    """A finished experiment in which a job is started that makes an image shard again."""
    insert(experiment, HELD)
    run = Held(experiment)
    yield run
    run.go_on()
    run.process.kill()
    run.process.wait()


class Held:
    """A run that waits in the middle of a job."""

    def __init__(self, experiment):
        self.experiment = experiment
        self.expected = (experiment.folder / IMAGES).read_bytes()
        self.process = subprocess.Popen(
            experiment.command(IMAGES),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=experiment.folder,
            start_new_session=True,
            # Ctrl-C counts, also where tests run in the background of a shell, which ignores it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        mark = experiment.folder / "held"
        while not (mark.exists() and mark.read_text()):
            assert self.process.poll() is None, self.process.stdout.read()
            time.sleep(0.05)
        self.job = int(mark.read_text())
        assert not (experiment.folder / IMAGES).exists()

    def go_on(self):
        (self.experiment.folder / "go").touch()

    def end(self):
        """What it has said, once it is over."""
        told, _ = self.process.communicate(timeout=120)
        return told

    def restart(self):
        """Run again to the same file as ever, with nothing left of what was interrupted."""
        self.go_on()
        self.experiment.snakemake(IMAGES)
        assert (self.experiment.folder / IMAGES).read_bytes() == self.expected
        assert list((self.experiment.folder / IMAGES).parent.glob(".*")) == []


def is_gone(process):
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def test_stopped_by_ctrl_c_it_goes_on_where_it_was(held):
    os.killpg(held.process.pid, signal.SIGINT)
    told = held.end()
    assert held.process.returncode != 0 and is_gone(held.job)
    assert "error: interrupted" in told
    held.restart()


def test_stopped_by_sigterm_it_finishes_what_runs(held):
    held.process.terminate()
    time.sleep(0.5)
    assert held.process.poll() is None
    held.go_on()
    assert "Will exit after finishing currently running jobs" in held.end()
    assert (held.experiment.folder / IMAGES).read_bytes() == held.expected
    assert held.experiment.would_run(IMAGES) == set()


def test_killed_it_leaves_a_lock_and_no_job(held):
    held.process.kill()
    told = held.end()
    # As a job leaves it that is killed while it writes.
    (held.experiment.folder / IMAGES).with_name(".test-0000.h5.ab12cd_3").write_bytes(b"half")
    assert "error: Snakemake is gone" in told and is_gone(held.job)
    done = held.experiment.snakemake(IMAGES, check=False)
    assert done.returncode != 0 and "--unlock" in done.stdout + done.stderr
    held.experiment.snakemake("--unlock")
    held.restart()


def test_a_second_snakemake_is_refused_and_one_of_another_run_is_not(held):
    second = held.experiment.snakemake(IMAGES, check=False)
    assert second.returncode != 0
    assert "Directory cannot be locked" in second.stdout + second.stderr
    held.experiment.snakemake("results/other/manifest.parquet", "--config", "run=other")
    held.go_on()
    told = held.end()
    assert held.process.returncode == 0, told
    assert (held.experiment.folder / IMAGES).read_bytes() == held.expected


def test_a_job_killed_for_memory_is_told_as_such_and_tried_again_with_more(experiment):
    expected = (experiment.folder / IMAGES).read_bytes()
    insert(experiment, KILLED)
    done = experiment.snakemake(IMAGES, check=False)
    told = done.stdout + done.stderr
    log = "results/small/logs/images/test-0000.log"
    assert f"failed: {log}: error: killed by the system, most often for want of memory" in told
    (experiment.folder / "killed").unlink()
    done = experiment.snakemake(IMAGES, "--retries", "1", "--quiet", "host")
    told = done.stdout + done.stderr
    assert "mem_mb=2000" in told and "mem_mb=4000" in told and "failed: " not in told
    assert (experiment.folder / IMAGES).read_bytes() == expected


def test_copied_to_another_place_it_goes_on_there(experiment, tmp_path):
    """As `cp -r` copies, with new time stamps; the project lies elsewhere too."""
    table = experiment.results / "tables" / "quality.parquet"
    expected = table.read_bytes()
    for result in (table, table.with_name("runtime.parquet"), experiment.results / "report.html"):
        result.unlink()
    elsewhere = tmp_path / "another" / "place"
    shutil.copytree(experiment.folder, elsewhere, copy_function=shutil.copyfile)
    shutil.rmtree(experiment.folder)
    moved = Experiment(elsewhere, experiment.configuration)
    target = str(experiment.relative(table))
    assert moved.would_run() == {("quality", ""), ("runtime", ""), ("report", "")}
    moved.snakemake(target)
    assert (elsewhere / target).read_bytes() == expected


class Inside(Experiment):
    """An experiment in a mount namespace, whose folder is reached from outside by another name."""

    def __init__(self, holder, place, configuration):
        self.enter = [
            *("nsenter", "--target", str(holder.pid), "--user", "--mount"),
            *("--preserve-credentials", "env", "-C", str(place)),
        ]
        super().__init__(Path(f"/proc/{holder.pid}/root{place}"), configuration)

    def command(self, *options):
        return [*self.enter, *super().command(*options)]


@pytest.fixture
def holder():
    """A process in whose namespace anybody may mount; skipped where that is not so."""
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        pytest.skip("no unshare and nsenter, by which a file system could be mounted")
    process = subprocess.Popen(
        [
            "unshare",
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            "echo; exec sleep infinity",
        ],
        stdout=subprocess.PIPE,
    )
    if not process.stdout.readline():
        pytest.skip("this system lets nobody make a mount namespace")
    yield process
    process.kill()
    process.wait()


def mount(holder, *options):
    enter = ["nsenter", "--target", str(holder.pid), "--user", "--mount", "--preserve-credentials"]
    done = subprocess.run([*enter, "mount", *map(str, options)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mounting is not allowed: {done.stderr.strip()}")


def test_on_a_full_disk_it_says_so_and_goes_on_when_there_is_room(experiment, holder, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount(holder, "-t", "tmpfs", "-o", "size=64m", "tmpfs", disk)
    place = Path(f"/proc/{holder.pid}/root{disk}")
    shutil.copytree(experiment.folder, place / "experiment")
    full = Inside(holder, disk / "experiment", experiment.configuration)
    heatmaps = full.results / "heatmaps" / "lime" / "test-0000.h5"
    expected = heatmaps.read_bytes()
    heatmaps.unlink()
    fill(place / "filler", room=len(expected) // 2)
    target = str(full.relative(heatmaps))
    done = full.snakemake(target, check=False)
    told = done.stdout + done.stderr
    assert done.returncode != 0 and "Traceback" not in told
    words = [line for line in told.splitlines() if line.startswith("error: ")]
    assert len(words) == 1 and target in words[0] and "No space left on device" in words[0]
    assert not heatmaps.exists() and list(heatmaps.parent.glob(".*")) == []
    (place / "filler").unlink()
    full.snakemake(target)
    assert heatmaps.read_bytes() == expected


def fill(file, room):
    """Write a file that leaves a disk so many bytes."""
    with file.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while True:
            stream.write(bytes(4096))
    with file.open("rb+") as stream:
        stream.truncate(file.stat().st_size - room)


def test_the_data_may_be_read_only(experiment, holder):
    data = experiment.results / "phantom"
    before = {file: (file.stat().st_mtime_ns, file.stat().st_size) for file in data.rglob("*")}
    mount(holder, "--bind", data, data)
    mount(holder, "-o", "remount,bind,ro", data)
    inside = Inside(holder, experiment.folder, experiment.configuration)
    assert subprocess.run([*inside.enter, "touch", "results/small/phantom"]).returncode
    for result in (
        "manifest.parquet",
        "images/test-0000.h5",
        "heatmaps/radiologist/test-0000.h5",
        "report.html",
    ):
        file = experiment.results / result
        expected = file.read_bytes()
        file.unlink()
        command = experiment.command_of(file)
        shell = f"set -euo pipefail; export PYTHONPATH=.; {command}"
        subprocess.run([*inside.enter, "bash", "-c", shell], check=True)
        assert result == "report.html" or file.read_bytes() == expected
    assert before == {f: (f.stat().st_mtime_ns, f.stat().st_size) for f in data.rglob("*")}
