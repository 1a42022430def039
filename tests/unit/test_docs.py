"""Documents say what is so: generated pages are current, links lead somewhere, code runs."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
import yaml
from PIL import Image

from shamsul import config, reference
from shamsul.command.app import app
from shamsul.explain import registry
from shamsul.job.fingerprint import PROJECT
from shamsul.metrics import METRICS
from shamsul.model.inspection import known
from shamsul.tables import TABLES
from tests import documents
from tests.documents import BLOCKS, KINDS, PAGES, Block
from tests.experiment import SMALL

ROOT_PAGES = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "config/README.md"]


def test_the_readme_is_at_most_150_lines():
    assert len((PROJECT / "README.md").read_text().splitlines()) <= 150


def test_generated_pages_are_current():
    stale = [
        str(path.relative_to(PROJECT))
        for path, text in reference.files().items()
        if path.read_text() != text
    ]
    assert not stale, "run `make docs` and commit what it writes"


def test_every_generated_part_stands_on_one_page():
    pages = "".join(path.read_text() for path in (PROJECT / "docs").rglob("*.md"))
    parts = re.findall(r"<!-- generated: ([\w-]+) -->", pages)
    assert sorted(parts) == sorted(reference.GENERATED)


def test_what_is_written_by_hand_stays_when_a_page_is_made_anew():
    page = "Before.\n<!-- generated: metrics -->\nstale text\n<!-- end of metrics -->\nAfter.\n"
    made = reference.refreshed(page)
    assert made.startswith("Before.\n<!-- generated: metrics -->\n| metric |")
    assert made.endswith("|\n<!-- end of metrics -->\nAfter.\n") and "stale text" not in made
    assert reference.refreshed(made) == made


def test_every_method_has_a_section_with_its_source_and_limits():
    sections = {
        re.search(r"\{: #(\w+) \}", part)[1]: part
        for part in reference.methods().split("\n### ")[1:]
    }
    assert sorted(sections) == sorted(registry.methods())
    for name, cls in registry.methods().items():
        assert cls.citation in sections[name]
        assert all(f"`{preset}` is `{{" in sections[name] for preset in cls.presets)
        refused = re.search(r"\*\*Not for:\*\* (.*)", sections[name])
        named = set(re.findall(r"`(\w+)`", refused[1])) if refused else set()
        needs = registry.bare(cls).needs
        assert named == {short for short, found in known().items() if found.refusal(needs)}


def test_every_table_has_a_section_with_its_columns():
    sections = dict(re.findall(r"\{: #(\w+) \}\n(.*?)(?=\n### |\Z)", reference.tables(), re.DOTALL))
    assert list(sections) == list(TABLES)
    for name, table in TABLES.items():
        assert re.findall(r"^\| `(\w+)` \| \w+ \|", sections[name], re.MULTILINE) == list(
            table.columns
        )
        assert table.condition in sections[name]


def subcommands(command, words=("shamsul",)) -> dict[tuple[str, ...], Any]:
    inner = getattr(command, "commands", None)
    if inner is None:
        return {words: command}
    return {
        path: found
        for name, subcommand in inner.items()
        for path, found in subcommands(subcommand, (*words, name)).items()
    }


def test_every_subcommand_has_a_section_with_its_arguments():
    sections = reference.command_line().split("### ")[1:]
    found = subcommands(typer.main.get_command(app))
    assert [part.split(" {: #")[0] for part in sections] == [" ".join(path) for path in found]
    for part, command in zip(sections, found.values(), strict=True):
        assert all((item.help or "").split("\n")[0] in part for item in command.params)


def test_every_subcommand_that_a_page_names_is_there():
    known = typer.main.get_command(app).commands
    named = {
        word
        for page in [*PAGES.values(), PROJECT / "CHANGELOG.md", PROJECT / "CONTRIBUTING.md"]
        for word in re.findall(r"`shamsul ([a-z]+)", page.read_text())
    }
    commands = "".join(block.code for block in BLOCKS if block.language == "sh")
    named |= set(re.findall(r"^shamsul ([a-z]+)", commands, re.MULTILINE))
    assert {"run", "check", "export"} <= named <= known.keys()


def test_every_metric_is_on_the_page_of_metrics():
    rows = [line for line in reference.metrics().splitlines() if line.startswith("| `")]
    assert [re.match(r"\| `(\w+)`", row)[1] for row in rows] == list(METRICS)


# The site


def built(folder: Path, configuration: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-m", "mkdocs", "build"),
            *("--config-file", configuration, "--site-dir", folder / "site"),
        ],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs", reason="the site needs the extra `docs`")
    done = built(tmp_path, PROJECT / "mkdocs.yml")
    assert done.returncode == 0, done.stderr
    pages = {path.relative_to(tmp_path / "site") for path in tmp_path.rglob("*.html")}
    assert {Path("index.html"), Path("reference/methods.html"), Path("changelog.html")} <= pages
    # What a page needs to be shown is on the site itself.
    for page in pages:
        html = (tmp_path / "site" / page).read_text()
        loaded = re.findall(r'<(?:script|img|source)[^>]* src="?([^" >]+)', html)
        loaded += re.findall(r'<link[^>]* rel="?stylesheet"?[^>]* href="?([^" >]+)', html)
        loaded += re.findall(r'<link[^>]* href="?([^" >]+)"?[^>]* rel="?stylesheet', html)
        assert not [address for address in loaded if re.match(r"(https?:)?//", address)], page
    # A page may be another file, or show one.
    for page, told in [
        ("tutorials/one-radiograph.html", "One radiograph decides nothing."),
        ("reference/configuration.html", "compute.batch_size"),
        ("changelog.html", "What reruns after the upgrade"),
    ]:
        assert told in re.sub(r"<[^>]+>", "", (tmp_path / "site" / page).read_text()), page


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ("See [it](missing.md).", "missing.md"),
        ("See [it](other.md#nowhere).", "nowhere"),
        ("See [it](/other.md).", "absolute"),
        ("![it](missing.png)", "missing.png"),
        ("Fine.", "not included in the"),  # the third page is left out of the navigation
    ],
)
def test_a_fault_of_the_site_ends_its_build(tmp_path, page, told):
    pytest.importorskip("mkdocs", reason="the site needs the extra `docs`")
    settings = yaml.safe_load((PROJECT / "mkdocs.yml").read_text())
    settings |= {"docs_dir": "docs", "plugins": [], "nav": ["index.md", "other.md"]}
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# One\n\n{page}\n")
    (tmp_path / "docs" / "other.md").write_text("# Other\n")
    if page == "Fine.":
        (tmp_path / "docs" / "third.md").write_text("# Third\n")
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(settings))
    done = built(tmp_path, tmp_path / "mkdocs.yml")
    assert done.returncode != 0 and told in done.stderr, done.stderr


@pytest.mark.parametrize("page", ROOT_PAGES)
def test_files_that_a_page_of_the_root_links_to_are_there(page):
    place = PROJECT / page
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", place.read_text())
    assert not [link for link in links if "://" not in link and not (place.parent / link).exists()]


# Code


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_says_how_it_is_tested_or_why_not(block):
    assert block.kind == "not run" or block.kind in KINDS[block.language], block.code


def test_blocks_are_found_with_what_is_said_of_them():
    text = "<!-- test: run -->\n```sh\nls\n```\n\n```yaml\na: 1\n```\n\n```text\nno\n```\n"
    text += "<!-- not run: no GPU -->\n```python\nx\n```\n<!-- not run: -->\n```sh\nx\n```\n"
    found = documents.blocks("page", text)
    assert [(block.language, block.kind) for block in found] == [
        ("sh", "run"), ("yaml", None), ("python", "not run"), ("sh", None),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    return documents.folder_of_a_user(tmp_path_factory.mktemp("clone"))


@pytest.mark.workflow
@pytest.mark.parametrize("block", documents.of("sh", "run"), ids=str)
def test_commands_run(block, clone):
    documents.run(block.code, clone)


@pytest.mark.workflow
@pytest.mark.parametrize("block", documents.of("sh", "dry-run"), ids=str)
def test_commands_of_long_jobs_plan_them(block, clone):
    for command in documents.planned(block.code):
        documents.plan(command, clone)


@pytest.mark.workflow
@pytest.mark.parametrize("block", documents.of("python", "run"), ids=str)
def test_python_runs(block, tmp_path):
    (tmp_path / "shamsul").symlink_to(PROJECT / "shamsul")
    assert documents.run(block.code, tmp_path, language="python").strip()


@pytest.mark.workflow
@pytest.mark.parametrize("block", documents.of("python", "results"), ids=str)
def test_python_reads_results(block, finished):
    code = block.code.replace("results/phantom/", f"results/{finished.results.name}/")
    assert documents.run(code, finished.folder, language="python").strip()


def merged(base: dict, part: dict) -> dict:
    """A configuration with a part of it replaced; lists are replaced whole."""
    both = {
        key: merged(base[key], value)
        if isinstance(value, dict) and isinstance(base.get(key), dict)
        else value
        for key, value in part.items()
    }
    return {**base, **both}


@pytest.mark.parametrize("block", documents.of("yaml", "configuration"), ids=str)
def test_a_part_of_a_configuration_is_valid(block: Block):
    part = yaml.safe_load(block.code)
    whole = config.load(merged(copy.deepcopy(SMALL), part))
    built = registry.build(whole.explain.methods)
    assert len(built) == len(whole.explain.methods)


def test_the_adapter_of_its_page_reads_a_folder(clone):
    (code,) = documents.of("python", "adapter")
    (entry,) = documents.of("yaml", "adapter")
    source = yaml.safe_load(entry.code)["data"]["sources"][0]
    (clone / re.search(r"Save as (\S+\.py)", code.code)[1]).write_text(code.code)
    for finding in ("Edema", "No Finding"):
        place = clone / "data" / "radiographs" / finding
        place.mkdir(parents=True)
        for number in range(2):
            pixels = np.full((6, 4), 40 * number, np.uint8)
            Image.fromarray(pixels).save(place / f"p{finding[0]}-{number}.png")
    mask = np.zeros((6, 4), np.uint8)
    mask[1:3, 2] = 255
    Image.fromarray(mask).save(clone / "data" / "radiographs" / "Edema" / "pE-1.mask.png")
    program = f"""
from pathlib import Path
from typing import Any
from shamsul.data import masks, registry
from shamsul.data.rejected import Rejections
source = registry.build({source!r})
source.check(Path("data"), ("Edema",))
images = source.read_images(Path("data"), ("Edema",), Rejections("test"))
print(images[["image_id", "patient_id", "Edema"]].to_csv(index=False, header=False), end="")
(row,) = source.read_masks(Path("data"), images, Rejections("test")).to_dict("records")
print(row["image_id"], row["class"], masks.decode(row).nonzero()[0].tolist())
"""
    assert documents.run(program, clone, language="python").splitlines() == [
        *("pE-0,pE,1.0", "pE-1,pE,1.0", "pN-0,pN,0.0", "pN-1,pN,0.0"),
        "pE-1 Edema [1, 2]",
    ]


@pytest.mark.workflow
def test_the_section_of_its_page_is_in_the_report(clone, tmp_path):
    (code,) = documents.of("python", "section")
    (template,) = documents.of("html", "section")
    module = clone / re.search(r"Save as (\S+\.py)", code.code)[1]
    module.write_text(code.code)
    module.with_suffix(".html").write_text(template.code)
    program = f"""
import sys
from pathlib import Path
from typing import Any
sys.path.insert(1, {str(PROJECT)!r})  # Behind the copy, before an installation.
from shamsul.report.page import render
from tests.results import KINDS, make
results, config = make(Path({str(tmp_path)!r}))
print(results.tables["masks"]["class"].value_counts().to_dict())
print(render(results, config, KINDS))
"""
    told, _, page = documents.run(program, clone, language="python").partition("\n")
    section = page.split('<section id="masks">')[1].split("</section>")[0]
    rows = re.findall(r'<th scope="row">([^<]+)</th><td>(\d+)</td>', section)
    assert {name: int(count) for name, count in rows} == yaml.safe_load(told) != {}
    assert '<a href="#masks">Masks</a>' in page


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_one_heading_of_the_first_level(page):
    text = re.sub(r"```.*?```", "", PAGES[page].read_text(), flags=re.DOTALL)
    # A page may be a file of the root and nothing else.
    if not re.fullmatch(r'--8<-- "\S+"\n', text):
        assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1
