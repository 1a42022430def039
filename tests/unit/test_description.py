"""What a checkpoint says of itself, without torch: as torch reads it, and no pickle is run."""

import os
import pickle
import zipfile

import pytest
import torch

from shamsul.errors import InputError
from shamsul.model import checkpoint
from shamsul.model.description import OLD_FORMAT, check_classes, describe
from shamsul.model.spec import Spec
from tests.networks import classifier


@pytest.fixture
def path(tmp_path):
    checkpoint.save(classifier("densenet_small", size=32), tmp_path / "c.pt", {"epoch": 2})
    return tmp_path / "c.pt"


def test_it_is_what_torch_reads(path):
    said, content, found = (
        describe(path),
        torch.load(path, weights_only=True),
        checkpoint.load(path),
    )
    assert said.digest == content["digest"] == found.digest()
    assert said.spec == found.spec == Spec.plain("densenet_small", tuple("abcd"), 32)
    assert said.structure == found.structure and said.classes == tuple("abcd")
    assert said.structure.feature_layer.name == "features"


def test_a_checkpoint_of_other_classes_is_refused(path):
    with pytest.raises(InputError, match=r"c\.pt: was trained for the classes a, b, c, d, and"):
        check_classes(path, describe(path).classes, ["a", "b", "d", "c"])


@pytest.mark.parametrize("share", [0, 0.3, 0.9, 0.9999])
def test_a_truncated_file_is_told_in_one_line(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(
        InputError, match=r"c\.pt: not a readable checkpoint \(.+\); delete"
    ) as told:
        describe(path)
    assert "\n" not in str(told.value)


def test_a_missing_file_and_other_weights_are_told(path, tmp_path):
    with pytest.raises(InputError, match=r"other\.pt: not a readable checkpoint \(.*No such file"):
        describe(tmp_path / "other.pt")
    torch.save({"state_dict": {}}, path)
    with pytest.raises(InputError, match=r"c\.pt: not a checkpoint of this program"):
        describe(path)
    torch.save({"format": OLD_FORMAT, "digest": "abc", "state_dict": {}}, path)
    with pytest.raises(InputError, match=r"c\.pt: was written by an earlier release; import it"):
        describe(path)


class Calls:
    def __init__(self, function, *arguments):
        self.parts = function, arguments

    def __reduce__(self):
        return self.parts


@pytest.mark.parametrize("function", [os.mkdir, eval, print])
def test_nothing_that_a_pickle_asks_for_is_run(path, tmp_path, function):
    with zipfile.ZipFile(path, "w") as archive:
        hostile = {"format": Calls(function, str(tmp_path / "made"))}
        archive.writestr("archive/data.pkl", pickle.dumps(hostile, 2))
    with pytest.raises(InputError, match="it asks for"):
        describe(path)
    assert not (tmp_path / "made").exists()
