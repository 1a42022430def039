"""Documents say what is so: generated pages are current, links lead somewhere, code runs."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import shamsul
from shamsul import config, reference
from shamsul.explain import registry
from shamsul.job.fingerprint import PROJECT
from shamsul.metrics import METRICS
from shamsul.model.settings import BACKBONES
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
    page = "Before.\n<!-- generated: metrics -->\nold\n<!-- end of metrics -->\nAfter.\n"
    made = reference.refreshed(page)
    assert made.startswith("Before.\n<!-- generated: metrics -->\n| metric |")
    assert made.endswith("|\n<!-- end of metrics -->\nAfter.\n") and "old" not in made
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
        assert named == {backbone for backbone in BACKBONES if cls.unsuited(backbone)}


def test_every_metric_is_on_the_page_of_metrics():
    rows = [line for line in reference.metrics().splitlines() if line.startswith("| `")]
    assert [re.match(r"\| `(\w+)`", row)[1] for row in rows] == list(METRICS)


# The site


def build(folder: Path, configuration: Path) -> subprocess.CompletedProcess[str]:
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
    done = build(tmp_path, PROJECT / "mkdocs.yml")
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
    done = build(tmp_path, tmp_path / "mkdocs.yml")
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


def ready(code: str) -> None:
    """Skip where the command or the library of this checkout lacks what a page tells of."""
    if re.search(r"^shamsul ", code, re.MULTILINE) and not hasattr(shamsul, "classifier"):
        pytest.skip("the command `shamsul` is not in this checkout")
    if "shamsul.classifier" in code and not hasattr(shamsul, "classifier"):
        pytest.skip("`shamsul.classifier` is not in this checkout")


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    return documents.folder_of_a_user(tmp_path_factory.mktemp("clone"))


@pytest.mark.workflow
@pytest.mark.parametrize("block", documents.of("sh", "run"), ids=str)
def test_commands_run(block, clone):
    ready(block.code)
    documents.run(block.code, clone)


@pytest.mark.workflow
@pytest.mark.parametrize("block", documents.of("sh", "dry-run"), ids=str)
def test_commands_of_long_jobs_plan_them(block, clone):
    documents.run(documents.dry(block.code), clone)


@pytest.mark.parametrize("block", documents.of("python", "run"), ids=str)
def test_python_runs(block, tmp_path):
    ready(block.code)
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
    built = registry.build(whole.explain.methods, whole.model.backbone)
    assert len(built) == len(whole.explain.methods)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_one_heading_of_the_first_level(page):
    text = re.sub(r"```.*?```", "", PAGES[page].read_text(), flags=re.DOTALL)
    if "--8<--" in text:
        assert text.strip().count("\n") == 0
    else:
        assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1
