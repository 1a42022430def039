"""The command `shamsul`: what it tells, what it checks, and how it calls Snakemake."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib

import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import shamsul
from shamsul import experiment, plan
from shamsul.command import shipped, text, workflow
from shamsul.command.app import app
from shamsul.data.adapters.phantom import PhantomSource
from shamsul.errors import InputError
from shamsul.explain import registry
from shamsul.job.fingerprint import PROJECT
from shamsul.metrics import METRICS
from shamsul.model.networks.names import SHORT
from shamsul.phantom import export as phantom_export
from shamsul.storage.tables import write_table
from tests.experiment import SMALL

SLOW = ("torch", "torchvision", "pandas", "snakemake", "numpy", "yaml")
"""Not pydantic, which Typer imports itself."""


def shamsul_command(*arguments, **given):
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "shamsul", *arguments],
        capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(PROJECT)}, **given,
    )  # fmt: skip


def invoked(*arguments) -> str:
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def written(folder, **changes):
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({**SMALL, **changes}))
    return path


def test_the_entry_point_is_the_command_and_the_version_is_one():
    said = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert said["scripts"] == {"shamsul": "shamsul.command:main"} and "version" in said["dynamic"]
    assert shamsul_command("--version").stdout == f"shamsul {shamsul.__version__}\n"
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text())
    assert citation["version"] == shamsul.__version__
    assert [author["name"] for author in said["authors"]] == [
        a["name"] for a in citation["authors"]
    ]
    assert said["license"] == citation["license"]


@pytest.mark.parametrize("arguments", [[], ["run"], ["check"], ["methods"], ["config", "list"]])
def test_help_imports_no_library(arguments):
    source = (
        "import sys\nfrom shamsul.command import main\nsys.argv = ['shamsul', *sys.argv[1:]]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        f"assert not set(sys.modules) & set({SLOW}), set(sys.modules) & set({SLOW})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", source, *arguments, "--help"],
        capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(PROJECT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Usage: shamsul" in done.stdout


def test_every_subcommand_says_what_it_does():
    groups = [app, *(group.typer_instance for group in app.registered_groups)]
    commands = [command for group in groups for command in group.registered_commands]
    assert len(commands) >= 8
    for command in commands:
        assert len(command.callback.__doc__) > 40


def test_check_tells_what_a_run_would_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = dict(
        line.split(maxsplit=1) for line in invoked("check", str(written(tmp_path))).splitlines()
    )
    assert told["run"] == "small, to results/small/report.html"
    assert told["sources"] == "phantom (phantom)" and told["explained"] == "all"
    assert told["methods"].startswith("6: grad_cam, lime, random,")
    assert list(tmp_path.iterdir()) == [tmp_path / "mine.yaml"]


def test_check_tells_every_fault_in_a_line_of_its_own(tmp_path):
    path = written(tmp_path, sed=1, train={"epochs": 0})
    done = shamsul_command("check", str(path))
    assert done.returncode == 1 and not done.stdout
    first, second = done.stderr.splitlines()
    assert first.startswith(f"{path}: ") and second.startswith(f"{path}: ")
    assert {"sed" in first, "sed" in second} == {True, False}


def test_faults_of_files_are_told_together(tmp_path):
    weights, baseline = "model.weights: none.pt does not exist", "evaluate.baseline"
    raw = {
        **SMALL,
        "model": {"weights": "none.pt"},
        "explain": {"methods": [{"method": "grad_cam", "checkpoint": "none.pt"}]},
        "evaluate": {"baseline": "grad_cam"},
    }
    given = "explain.methods.0 (grad_cam): checkpoint: none.pt does not exist"
    assert experiment.faults(raw) == [
        weights,
        f"{given}; give another run's model/checkpoint.pt, or remove `checkpoint`",
    ]
    with pytest.raises(InputError, match=re.escape(weights)):
        experiment.checked(raw)
    raw["evaluate"] = {"baseline": "rise"}
    assert experiment.faults(raw)[0].startswith(baseline)


def test_an_experiment_knows_its_folders():
    found = experiment.checked(SMALL)
    assert str(found.folder) == "results/small" and experiment.faults(SMALL) == []
    assert {name: str(root) for name, root in found.roots.items()} == {
        "phantom": "results/small/phantom/phantom"
    }
    reader = found.methods["radiologist"]
    assert reader.segmentations[0].startswith("results/small/phantom/")


@pytest.mark.parametrize(
    ("content", "told"),
    [("- a\n", "must be a mapping"), ("a: [", "not YAML"), ("\x00", "not YAML")],
)
def test_what_is_no_configuration_is_told(tmp_path, content, told):
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    done = shamsul_command("check", str(path))
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"error: {path}: ") and told in done.stderr


def test_every_method_is_listed_and_its_parameters_are_told():
    lines = invoked("methods").splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(registry.methods())
    for name, cls in registry.methods().items():
        told = invoked("methods", name)
        assert cls.title in told and cls.citation in told
        for field in cls.model_fields:
            assert re.search(f"^{field}: ", told, re.MULTILINE), (name, field)
    assert "segments: integer ≥ 2, default 50" in invoked("methods", "lime")
    assert "segmentations: text or list of text, required" in invoked("methods", "radiologist")


def test_every_metric_is_listed():
    lines = invoked("metrics").splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(METRICS)
    for name, metric in METRICS.items():
        assert metric.summary.split()[0] in invoked("metrics", name)


def test_an_unknown_name_is_told_with_the_nearest():
    done = shamsul_command("methods", "grad_cm")
    assert done.returncode == 1 and "did you mean 'grad_cam'?" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_configurations_are_known_by_name(tmp_path):
    listed = invoked("config", "list")
    for name, path in shipped.configurations().items():
        assert re.search(rf"^{name}  ", listed, re.MULTILINE)
        shown = invoked("config", "show", name)
        assert yaml.safe_load(shown) == yaml.safe_load(path.read_text())
        assert shown.startswith(f"# yaml-language-server: $schema={shipped.SCHEMA}\n")
    assert shipped.SCHEMA.is_file()
    with pytest.raises(InputError, match="configurations that come with shamsul are phantom,"):
        shipped.configuration("fantom")


def test_profiles_are_listed_and_copied(tmp_path):
    assert set(shipped.profiles()) >= {"default", "slurm", "lsf", "cluster-generic"}
    assert all(name in invoked("profile", "list") for name in shipped.profiles())
    invoked("profile", "copy", "cluster-generic", str(tmp_path / "ours"))
    assert {file.name for file in (tmp_path / "ours").iterdir()} == {"profile.yaml", "status.sh"}
    with pytest.raises(InputError, match="exists already"):
        invoked("profile", "copy", "slurm", str(tmp_path / "ours"))


def test_run_is_snakemake_with_the_shipped_workflow(tmp_path):
    snakefile = ["--snakefile", str(PROJECT / "Snakefile")]
    begin = ["-P", "-m", "snakemake"]
    default = ["--configfile", str(PROJECT / "config.yaml"), *snakefile]
    assert workflow.snakemake([]) == [*begin, *default]
    assert workflow.snakemake(["-n"]) == [*begin, *default, "-n"]
    path = str(written(tmp_path))
    assert workflow.snakemake([path, "heatmaps", "-c", "2"]) == [
        *begin, "--configfile", path, *snakefile, "heatmaps", "-c", "2",
    ]  # fmt: skip
    given = ["--configfile", path, "--config", "run=other"]
    assert workflow.snakemake(given) == [*begin, *snakefile, *given]
    # A target behind --configfile is no second file of the configuration.
    for option in ("--configfile", "--configfiles"):
        assert workflow.snakemake([option, path, "heatmaps", "results/x/report.html", "-n"]) == [
            *begin, *snakefile, "heatmaps", "results/x/report.html", option, path, "-n",
        ]  # fmt: skip
    two = ["--configfile", path, "b.yml", "train", "--config", "a=1", "b=2"]
    assert workflow.snakemake(two)[-6:] == ["--configfile", path, "b.yml", *two[-3:]]
    assert workflow.snakemake([f"--configfile={path}", "train"])[-2:] == [
        "train", f"--configfile={path}",
    ]  # fmt: skip
    with pytest.raises(InputError, match="not both"):
        workflow.snakemake(["nih", "--configfile", path])
    with pytest.raises(InputError, match="no such file"):
        workflow.snakemake([str(tmp_path / "none.yaml")])


def test_run_knows_profiles_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    slurm = str(PROJECT / "profiles" / "slurm")
    assert workflow.snakemake(["--workflow-profile", "slurm"])[-1] == slurm
    assert workflow.snakemake(["--profile=slurm"])[-1] == f"--profile={slurm}"
    assert workflow.snakemake(["--workflow-profile", "ours"])[-1] == "ours"
    (tmp_path / "slurm").mkdir()
    assert workflow.snakemake(["--workflow-profile", "slurm"])[-1] == "slurm"


def test_run_hands_everything_on_in_its_order(monkeypatch):
    called = []
    monkeypatch.setattr(os, "execv", lambda program, command: called.append(command))
    options = ["-np", "--cores", "2", "--config", "a=1", "b=2", "--help", "--", "x"]
    invoked("run", "phantom", *options)
    invoked("run", *options[:-4])
    command = [sys.executable, *workflow.snakemake([])]
    assert called == [[*command, *options], [*command, *options[:-4]]]


def test_the_exit_status_is_snakemakes(tmp_path):
    done = shamsul_command("run", "--no-such-option", cwd=tmp_path)
    assert done.returncode == 2 and "unrecognized arguments: --no-such-option" in done.stderr


def test_columns_are_aligned():
    assert text.columns([("a", "bb"), ("ccc", "d")]) == "a    bb\nccc  d"


def test_phantoms_are_exported_as_the_library_does(tmp_path):
    options = ["--patients", "tune=1,test=2", "--height", "64", "--seed", "5", "--annotations"]
    invoked("phantom", "export", str(tmp_path / "one"), *options, "--confounder", "Cardiomegaly")
    source = PhantomSource(
        adapter="phantom", patients={"tune": 1, "test": 2}, height=64,
        confounder={"class_name": "Cardiomegaly"},
    )  # fmt: skip
    phantom_export.export(tmp_path / "two", 5, source, annotations=True)
    one, two = (
        {
            file.relative_to(folder): file.read_bytes()
            for file in folder.rglob("*")
            if file.is_file()
        }
        for folder in (tmp_path / "one", tmp_path / "two")
    )
    assert one == two and any("annotations" in name.name for name in one)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--patients", "test"], "train=900"),
        (["--patients", "exam=3"], "patients.exam"),
        (["--patients", "tune=-3"], "patients.tune"),
        (["--confounder", "Cardiomegally"], "'Cardiomegaly'"),
    ],
)
def test_a_fault_of_the_phantoms_is_named(tmp_path, wrong, message):
    with pytest.raises(InputError, match=message):
        invoked("phantom", "export", str(tmp_path), *wrong)
    assert not list(tmp_path.iterdir())


def small(*methods, **changes):
    return experiment.read({**SMALL, "explain": {"methods": list(methods)}, **changes})


def test_a_plan_follows_from_methods_classes_and_images():
    """By hand: 14 classes, 3 passes for a gradient, maps of 96 x 64 or 6 x 4."""
    made = small({"method": "grad_cam"}, {"method": "lrp_z"}, {"method": "lime", "samples": 200})
    found = plan.plan(made, images=10)
    assert found.passes == 10 * (1 + 3 * 14 + 200)
    assert found.heatmap_bytes == 10 * 14 * 4 * (6 * 4 + 2 * 96 * 64)
    # explain and probe on 3 and 2 shards, train, predict.
    assert found.asking == 3 * 3 + 3 * 2 + 2
    light = sum(found.jobs.values()) - found.asking
    assert found.hours(0.5) * 3600 == pytest.approx(
        0.5 * 2430 + plan.START * found.asking + plan.LIGHT_START * light
    )


def test_draws_of_gradients_cost_a_gradient_each_and_shared_ones_are_made_once():
    made = small({"method": "integrated_gradients", "steps": 8}, {"method": "random"})
    assert plan.plan(made, 1).passes == 8 * 3 * 14
    explain = {
        "perturbations": {"samples": 50, "segments": 8},
        "methods": [{"method": "lime", "shared": True}, {"method": "kernel_shap", "shared": True}],
    }
    shared = plan.plan(experiment.read({**SMALL, "explain": explain}), 2)
    assert shared.passes == 2 * 50 and shared.jobs["perturb"] == 3


@given(images=st.integers(1, 10**6), forward=st.floats(1e-6, 10))
def test_hours_and_bytes_grow_with_the_images(images, forward):
    made = small({"method": "grad_cam"}, {"method": "lime"})
    one, more = plan.plan(made, images), plan.plan(made, images + 1)
    assert more.hours(forward) > one.hours(forward) and more.heatmap_bytes > one.heatmap_bytes
    assert more.jobs == one.jobs


def test_the_images_of_a_plan_are_phantoms_or_the_manifests_or_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = invoked("plan", str(written(tmp_path)))
    assert "16 images to explain" in told and re.search(r"^total +\d+$", told, re.MULTILINE)
    manifest = pd.DataFrame({"split": ["train", "tune", "test", "test"]})
    write_table(manifest, tmp_path / "results" / "small" / "manifest.parquet")
    assert "3 images to explain" in invoked("plan", str(written(tmp_path)))
    assert "668 images to explain" in invoked("plan", "chexpert", "--images", "668")
    with pytest.raises(InputError, match="say --images N"):
        invoked("plan", "nih")
    assert "at 0.5 s a forward pass" in invoked("plan", "phantom", "--forward", "0.5")


def test_every_backbone_has_a_measured_pass():
    assert list(plan.FORWARD) == list(SHORT)


@pytest.mark.parametrize("home", ["/proc/nowhere", ""])
def test_a_home_that_cannot_be_written_to_holds_no_caches(tmp_path, home):
    """Snakemake makes its cache before it reads anything, and would end in a traceback."""
    environment = {key: v for key, v in os.environ.items() if not key.startswith("XDG_")}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "shamsul", "run", "phantom", "--dry-run", "--quiet"],
        cwd=tmp_path, capture_output=True, text=True,
        env=environment | {"PYTHONPATH": str(PROJECT), "HOME": home or str(tmp_path / "none")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / ".snakemake" / "caches").is_dir()
