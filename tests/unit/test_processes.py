"""Processes that share one training end as one process does."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed, nn

from shamsul.errors import InputError
from shamsul.model import checkpoint
from shamsul.model.training import processes
from shamsul.storage.tables import read_table
from tests.unit.test_training import compared, data, options, write, written

torch.set_num_threads(1)


@pytest.fixture
def group(tmp_path):
    """A group of this process alone."""
    store = distributed.FileStore(str(tmp_path / "store"), 1)
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield processes.Processes()
    distributed.destroy_process_group()


@pytest.mark.parametrize("shape", [(6, 4, 5, 5), (7, 4)])
def test_shared_moments_of_one_process_are_torchs_own(group, shape):
    layers = nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 3 + 1
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    found = []
    for mode in (None, processes._SharedMoments()):
        layer, given = layers(4).train(), values.clone().requires_grad_()
        nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(2))
        if mode is None:
            out = layer(given)
        else:
            with mode:
                out = layer(given)
        (out * weight).sum().backward()
        gradients = (given.grad, layer.weight.grad, layer.bias.grad)
        found.append((out.detach(), layer.running_mean, layer.running_var, *gradients))
    for theirs, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    layer = layers(4).eval()
    with processes._SharedMoments():
        torch.testing.assert_close(layer(values), layer(values))


def test_parts_of_a_batch_are_all_of_it():
    alone = processes.Processes()
    assert (alone.rank, alone.count) == (0, 1)
    rows = np.arange(7)
    assert alone.part(rows).tolist() == rows.tolist()
    alone.rank, alone.count = 1, 3
    assert alone.part(rows).tolist() == [1, 4]


def test_another_number_of_processes_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    device = torch.device("cpu")
    with (
        pytest.raises(InputError, match=r"train\.processes: 2, and torchrun has started 3"),
        processes.joined(2, device),
    ):
        pass
    monkeypatch.delenv("RANK", raising=False)
    assert processes.to_launch(2) and not processes.to_launch(1)
    monkeypatch.setenv("RANK", "0")
    assert not processes.to_launch(2)


# Two processes


def shards(folder):
    return [
        write(folder, "train", data(40, 0), range(40)),
        write(folder, "tune", data(20, 1), range(20)),
    ]


def run(folder, made, count, epochs, kill=False):
    given = [str(option) for option in options(folder, made, epochs)]
    place = given.index("--settings") + 1
    given[place] = given[place].replace('"processes": 1', f'"processes": {count}')
    assert f'"processes": {count}' in given[place]
    job = subprocess.Popen(
        [sys.executable, "scripts/train.py", *given],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    if kill:
        state = folder / "state"
        while written(state) is None:
            assert job.poll() is None
            time.sleep(0.002)
        os.killpg(job.pid, signal.SIGKILL)
        job.wait()
        time.sleep(1)  # The processes of torchrun are in sessions of their own.
        return
    assert job.wait() == 0


@pytest.mark.long
def test_two_processes_end_as_one_and_a_killed_run_resumes(tmp_path):
    made = shards(tmp_path)
    for name, count in (("one", 1), ("two", 2), ("killed", 2)):
        Path(tmp_path / name).mkdir()
        if name == "killed":
            run(tmp_path / name, made, count, 4, kill=True)
        run(tmp_path / name, made, count, 4)
    one, two, killed = (
        checkpoint.load(tmp_path / name / "checkpoint.pt") for name in ("one", "two", "killed")
    )
    assert killed.digest() == two.digest()
    histories = [
        compared(read_table(tmp_path / name / "history.parquet"))
        for name in ("one", "two", "killed")
    ]
    assert histories[1].equals(histories[2])
    assert abs(histories[0] - histories[1]).max().max() < 0.02
    for name, tensor in one.network.state_dict().items():
        torch.testing.assert_close(two.network.state_dict()[name], tensor, rtol=0.05, atol=0.01)
    assert not list((tmp_path / "two").glob("*state*"))
