"""A dataset adapter is added by one file: here, one folder of PNG files for each finding."""

import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from shamsul.data.masks import decode
from tests.experiment import SMALL, Experiment

pytestmark = pytest.mark.workflow  # It starts the programs of jobs.

ADAPTER = '''
"""One folder of PNG files for each finding, PATIENT-NUMBER.png, and a mask beside each."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from shamsul import lazy
from shamsul.data.adapter import COLUMNS, DiskSource
from shamsul.data.masks import MASK_COLUMNS, encode
from shamsul.data.rejected import Rejections

pd = lazy.load("pandas")


class FoldersSource(DiskSource):
    """PNG files in one folder for each finding."""

    adapter: Literal["folders"]
    images: str
    """Folder that the findings' folders are in, relative to `data.root`."""

    def files(self) -> list[str]:
        """Return the folder."""
        return [self.images]

    def read_images(self, root: Path, classes: tuple[str, ...], rejected: Rejections):
        """List the files."""
        rows = []
        for file in sorted((root / self.images).glob("*/*-?.png")):
            about = [file.stem, file.stem.split("-")[0], file.stem, "frontal", "PA"]
            labels = [float(file.parent.name == name) for name in classes]
            rows.append([*about, str(file.relative_to(root)), "F", 50.0, *labels])
        return pd.DataFrame(rows, columns=[*COLUMNS, *classes])

    def read_masks(self, root: Path, images, rejected: Rejections):
        """Read the masks beside the images."""
        rows = []
        for row in images.itertuples():
            file = (root / row.path).with_suffix(".mask.png")
            if file.exists():
                mask = np.asarray(Image.open(file)) > 0
                about = [row.image_id, file.parent.name, "me", "segmentation"]
                rows.append([*about, *mask.shape, encode(mask), 1])
        return pd.DataFrame(rows, columns=MASK_COLUMNS)
'''
MANIFEST = "results/folders/manifest.parquet"


def source(name):
    return {"adapter": "folders", "name": name, "split": name, "images": name}


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """A copy of the project with one file more, and data of that layout."""
    folder = tmp_path_factory.mktemp("project")
    rng = np.random.default_rng(0)
    for split in ("train", "tune", "test"):
        for finding in ("Edema", "No Finding"):
            place = folder / "data" / split / finding
            place.mkdir(parents=True)
            for number in range(3):
                pixels = rng.integers(0, 256, (40, 30), np.uint8)
                stem = f"{split}{finding[0]}-{number}"
                Image.fromarray(pixels).save(place / f"{stem}.png")
                if finding == "Edema":
                    Image.fromarray((pixels > 128) * np.uint8(255)).save(place / f"{stem}.mask.png")
    configuration = {
        **SMALL,
        "run": "folders",
        "classes": ["Edema", "No Finding"],
        "data": {"root": "data", "size": 64, "sources": [*map(source, ("train", "tune", "test"))]},
        "explain": {"methods": [{"method": "random"}]},
        "evaluate": {"classes": ["Edema"]},
    }
    copy = Experiment(folder, configuration)
    (folder / "shamsul" / "data" / "adapters" / "folders.py").write_text(ADAPTER)
    copy.environment = {"PYTHONPATH": str(folder)}
    return copy


def in_copy(experiment, program):
    """What a program says that imports the copy's library."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True, text=True, check=True, cwd=experiment.folder,
        env=os.environ | experiment.environment,
    )  # fmt: skip
    return done.stdout


def test_a_manifest_is_made_and_made_again_where_that_adapter_alone_is_edited(experiment):
    experiment.snakemake(MANIFEST)
    table = pd.read_parquet(experiment.results / "manifest.parquet")
    assert table["split"].value_counts().to_dict() == {"train": 6, "tune": 6, "test": 6}
    assert set(table.loc[table["Edema"] == 1, "image_id"].str.split("-").str[0]) == {
        "trainE", "tuneE", "testE",
    }  # fmt: skip
    masks = pd.read_parquet(experiment.results / "masks.parquet")
    assert len(masks) == 9 and set(masks["class"]) == {"Edema"}
    drawn = Image.open(experiment.folder / "data/test/Edema/testE-1.mask.png")
    row = masks[masks["image_id"] == "testE-1"].iloc[0]
    np.testing.assert_array_equal(decode(row), np.asarray(drawn) > 0)

    adapters = experiment.folder / "shamsul" / "data" / "adapters"
    # Whether image files are read again is known once the list has been made; the list is the same.
    made_anew = {("listing", ""), ("read", "part=0000"), ("manifest", "")}
    for name, expected in (("nih", set()), ("folders", made_anew)):
        file = adapters / f"{name}.py"
        file.write_text(file.read_text() + "\n# edited\n")
        assert experiment.would_run(MANIFEST) == expected


def test_a_wrong_key_is_told_in_the_words_of_the_configuration(experiment):
    raw = json.loads(json.dumps(experiment.configuration))
    for key, value in (("imagse", "x"), ("split", {"tain": 1.0}), ("adapter", "foldrs")):
        changed = json.loads(json.dumps(raw))
        changed["data"]["sources"][1][key] = value
        said = in_copy(
            experiment,
            f"""
            from shamsul import config, errors
            try:
                config.load({changed!r})
            except errors.InputError as error:
                print(error)
            """,
        )
        place = "data.sources.1" if key == "adapter" else f"data.sources.1.{key}"
        assert said.startswith(f"{place}: ")
        if key == "imagse":
            assert "unknown key 'imagse'; did you mean 'images'?" in said
        if key == "adapter":
            for known in ("chexpert", "folders", "nih", "phantom", "vindr"):
                assert f"'{known}'" in said
        for internal in ("FoldersSource", "Section", "discriminator", "literal[", "[key]"):
            assert internal not in said
        assert "sources.1.folders" not in said


def test_the_new_keys_are_in_the_schema_and_in_the_page_of_keys(experiment):
    said = in_copy(experiment, "from shamsul import schema; print(schema.tables())")
    assert "### A source of `adapter: folders`" in said
    assert "Folder that the findings' folders are in, relative to `data.root`." in said


def test_a_missing_folder_is_told_before_any_job(experiment):
    experiment.configuration["data"]["sources"][0]["images"] = "elsewhere"
    done = experiment.dry_run(check=False)
    experiment.configuration["data"]["sources"][0]["images"] = "train"
    assert done.returncode
    assert "data source train: data/elsewhere does not exist" in done.stdout + done.stderr
