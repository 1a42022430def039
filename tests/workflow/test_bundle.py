"""Snakemake's own report: every table and the page, each with its caption, in one archive."""

import json
import re
from zipfile import ZipFile

import pytest

from tests.experiment import Experiment

DEAD = "http://127.0.0.1:9"
"""A proxy that nothing answers at: whatever asked the network would fail."""
PARQUET = "application/vnd.apache.parquet"


@pytest.fixture(scope="module")
def bundle(finished, tmp_path_factory):
    """The archive of `snakemake --report`, opened, and the page in it."""
    experiment = Experiment(finished.folder, finished.configuration)
    experiment.environment = {"http_proxy": DEAD, "https_proxy": DEAD}
    file = tmp_path_factory.mktemp("report") / "bundle.zip"
    experiment.snakemake("--report", str(file))
    with ZipFile(file) as archive:
        yield archive, archive.read("bundle/report.html").decode()


def embedded(page, name):
    """What the page's script assigns to a variable."""
    return json.loads(re.search(rf'^ *var {name} = ([{{"].*);$', page, re.MULTILINE)[1])


def test_the_bundle_holds_the_page_and_every_table(bundle, finished):
    archive, page = bundle
    made = [finished.results / "report.html", *(finished.results / "tables").glob("*.parquet")]
    results = embedded(page, "results")
    assert set(results) == {str(finished.relative(file)) for file in made}
    for path, entry in results.items():
        stored = archive.read(f"bundle/{entry['data_uri']}")
        assert stored == (finished.folder / path).read_bytes()
        assert entry["mime_type"] == ("text/html" if path.endswith("html") else PARQUET)


def test_every_file_has_a_caption_of_its_own_and_a_category(bundle):
    _, page = bundle
    results = embedded(page, "results")
    captions = [re.sub(r"<[^>]+>", "", entry["caption"]).strip() for entry in results.values()]
    assert min(map(len, captions)) > 100 and len(set(captions)) == len(captions)
    for caption in captions:
        # Neither a template's braces nor docutils' complaint.
        assert "{{" not in caption and "System Message" not in caption
    categories = embedded(page, "categories")
    assert set(categories) == {
        *("Report", "Data", "Classifier", "Localisation", "Heatmaps", "Faithfulness and sanity"),
        "Run",
    }
    placed = [path for parts in categories.values() for paths in parts.values() for path in paths]
    assert sorted(placed) == sorted(results)


def test_captions_say_with_what_settings_a_table_was_made(bundle):
    _, page = bundle
    caption = embedded(page, "results")["results/small/tables/gains.parquet"]["caption"]
    # Of the configuration and of a default: the margin, the random baseline.
    assert "&quot;margin&quot;: 0.1" in caption and "&quot;random&quot;" in caption


def test_the_front_page_names_the_run(bundle):
    _, page = bundle
    assert ">small</tt>" in embedded(page, "workflow_desc")
