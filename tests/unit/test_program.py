"""How programs end that cannot go on: in one line, and without a half-written file."""

import importlib
import inspect
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from shamsul.job import program
from shamsul.job.fingerprint import PROJECT

WRITING = """
import sys, threading
from pathlib import Path
from shamsul.job import program
from shamsul.storage.files import replacing

def main():
    with replacing(sys.argv[1]) as temporary:
        temporary.write_text("half")
        Path(sys.argv[1] + ".begun").touch()
        threading.Event().wait()

program.run(main)
"""


def start(text, *arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", text, *map(str, arguments)],
        cwd=PROJECT,
        env=os.environ | environment,
        stderr=subprocess.PIPE,
        text=True,
        # Ctrl-C counts, also where the tests run in the background of a shell, which ignores it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.parametrize("how", ["its Snakemake is gone", signal.SIGTERM, signal.SIGINT])
def test_it_leaves_no_file_where_it_is_ended(tmp_path, how):
    result = tmp_path / "result"
    result.write_text("of another run")
    snakemake = subprocess.Popen(["sleep", "600"])
    job = start(WRITING, result, SHAMSUL_PARENT=str(snakemake.pid))
    while not (tmp_path / "result.begun").exists():
        assert job.poll() is None
        time.sleep(0.05)
    if isinstance(how, signal.Signals):
        job.send_signal(how)
    else:
        snakemake.kill()  # Nobody asks yet how it ended.
    _, told = job.communicate(timeout=60)
    assert job.returncode != 0 and "Traceback" not in told
    assert ("Snakemake is gone" in told) == (how == "its Snakemake is gone")
    assert result.read_text() == "of another run"
    assert {file.name for file in tmp_path.iterdir()} == {"result", "result.begun"}
    snakemake.kill()
    snakemake.wait()


DEAF = """
import signal, sys, time
from shamsul.job import watchdog

signal.signal(signal.SIGTERM, lambda *_: None)
watchdog.watch(int(sys.argv[1]), every=0.1, patience=0.2)
time.sleep(600)
"""


def test_it_ends_too_where_the_signal_does_nothing():
    snakemake = subprocess.Popen(["true"])
    snakemake.wait()
    job = start(DEAF, snakemake.pid)
    job.communicate(timeout=60)
    assert job.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    "greedy", [lambda: np.ones(2**50), lambda: torch.ones(2**50), lambda: out_of_gpu_memory()]
)
def test_no_memory_is_told_in_one_line(greedy, monkeypatch):
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit, match=r"^error: out of memory: [^\n]*(allocate|CUDA)[^\n]*$"):
        program.run(greedy)


def test_other_errors_of_torch_keep_their_traceback(monkeypatch):
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(RuntimeError, match="size of tensor"):
        program.run(lambda: torch.ones(2) + torch.ones(3))


def out_of_gpu_memory():
    raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.\nMore")


def example(
    settings: dict[str, Any],
    maps: list[Path],
    members: Sequence[Path] = (),
    human: str | None = None,
    device: Literal["auto", "cpu"] = "auto",
    batch_size: int = 32,
    *,
    per_image: Path,
) -> None:
    """Do nothing but show what it was called with.

    Parameters
    ----------
    settings : seed and
        the 95 % interval.
    maps : shards to read.
    """
    CALLED.append((settings, maps, members, human, device, batch_size, per_image))


CALLED = []


def test_the_signature_is_the_command_line():
    program.call(example, ["--settings", '{"a": 1}', "--maps", "x", "y", "--per-image", "z"])
    assert CALLED.pop() == ({"a": 1}, [Path("x"), Path("y")], (), None, "auto", 32, Path("z"))
    command = ["--settings", "{}", "--maps", "x", "--members", "m", "--human", "who"]
    command += ["--device", "cpu", "--batch-size", "4", "--per-image", "z"]
    program.call(example, command)
    assert CALLED.pop() == ({}, [Path("x")], [Path("m")], "who", "cpu", 4, Path("z"))


@pytest.mark.parametrize(
    "command",
    [
        ["--maps", "x", "--per-image", "z"],
        ["--settings", "{", "--maps", "x", "--per-image", "z"],
        ["--settings", "{}", "--maps", "--per-image", "z"],
        ["--settings", "{}", "--maps", "x", "--per-image", "z", "--device", "tpu"],
        ["--settings", "{}", "--maps", "x", "--per-image", "z", "--batch-size", "many"],
    ],
)
def test_what_the_signature_does_not_allow_is_refused(command):
    with pytest.raises(SystemExit, match="2"):
        program.call(example, command)
    assert not CALLED


def test_help_is_the_docstring():
    told = " ".join(program.parser(example).format_help().split())
    assert "Do nothing but show what it was called with." in told
    assert "seed and the 95 % interval" in told and "shards to read" in told
    assert "file to write" in told and "Parameters" not in told


SCRIPTS = sorted(file.stem for file in (PROJECT / "scripts").glob("*.py"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_option_of_every_program_is_described(name):
    script = importlib.import_module(f"scripts.{name}")
    described = re.findall(r"(?m)^    (\w+) : \w", script.main.__doc__)
    assert described == list(inspect.signature(script.main).parameters)
