"""Each process computes on a GPU of its own, and on one thread."""

import multiprocessing
import os
import signal
import tempfile
from types import SimpleNamespace

import pytest
import torch

from shamsul.model import device

GPUS = ("GPU-a", "GPU-b")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    device.claim.cache_clear()


class Job:
    """Another process that has claimed a GPU and has it until it is killed."""

    def __init__(self, gpus=GPUS):
        fork = multiprocessing.get_context("fork")
        here, there = fork.Pipe()
        self.process = fork.Process(target=self._claim, args=(there, gpus), daemon=True)
        self.process.start()
        self.index = here.recv()

    @staticmethod
    def _claim(there, gpus):
        device.claim.cache_clear()  # which a child has from its parent
        there.send(device.claim(gpus))
        signal.pause()

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()


def test_jobs_get_one_each_and_a_killed_jobs_is_free_again():
    first, second = Job(), Job()
    assert (first.index, second.index) == (0, 1)
    first.kill()
    third = Job()
    assert third.index == 0
    second.kill()
    third.kill()


def test_a_device_is_known_by_its_name_and_not_by_its_number():
    alone = Job(("GPU-b",))
    assert (alone.index, Job().index, device.claim(("GPU-c",))) == (0, 0, 0)


def test_where_all_are_taken_they_are_shared_evenly_and_the_log_says_so(caplog):
    jobs = [Job() for _ in range(3)]
    assert [job.index for job in jobs] == [0, 1, 0]
    assert device.claim(GPUS) == 1
    assert "all 2 GPUs are taken: sharing one with 1 other jobs" in caplog.text


def test_a_process_keeps_its_device():
    assert device.claim(GPUS) == device.claim(GPUS) == 0
    assert Job().index == 1


@pytest.fixture
def gpus(monkeypatch):
    current = []
    for name, value in {
        "is_available": lambda: True,
        "device_count": lambda: len(GPUS),
        "get_device_properties": lambda index: SimpleNamespace(uuid=GPUS[index]),
        "set_device": current.append,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return current


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_the_claimed_device_is_torchs(gpus, name):
    job = Job()
    assert device.resolve_device(name) == torch.device("cuda:1") and gpus == [1]
    job.kill()


def test_the_processor_takes_nobodys_gpu(gpus):
    assert device.resolve_device("cpu") == torch.device("cpu") and not gpus
    assert Job().index == 0


def test_a_gpu_that_was_given_and_cannot_be_used_is_told(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert device.resolve_device("auto") == torch.device("cpu")
    assert "torch finds none" in caplog.text


def test_the_machine_does_not_say_on_how_many_threads():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        device.be_deterministic()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_deterministic_debug_mode("default")
        torch.set_num_threads(before)
