"""Results without a record, against Snakemake's own way of filing records."""

import pytest
from snakemake.persistence.file import FilePersistence

from shamsul.job import snakemake_records


@pytest.fixture
def snakemakes(tmp_path, monkeypatch):
    """Snakemake's own store of records, in a folder of its own that is the working folder."""
    monkeypatch.chdir(tmp_path)
    return FilePersistence(path=tmp_path / ".snakemake", nolock=True)


@pytest.mark.parametrize("name", ["score.parquet", f"{'long' * 50}.h5"])
@pytest.mark.parametrize("kind", ["_metadata_path", "_incomplete_path"])
def test_what_snakemake_knows_of_is_not_named(tmp_path, snakemakes, name, kind):
    file = snakemake_records.Path("results/run") / ("folder" * 20) / name
    file.parent.mkdir(parents=True)
    file.write_text("x")
    assert snakemake_records.without(snakemake_records.Path("results/run")) == [file]
    snakemakes._io_write(getattr(snakemakes, kind), {}, str(file))
    assert snakemake_records.without(snakemake_records.Path("results/run")) == []


def test_images_logs_and_temporary_files_are_no_results(tmp_path, snakemakes):
    run = snakemake_records.Path("results/run")
    for name in ("phantom/a.jpg", "logs/train.log", "benchmarks/train.tsv", ".a.h5.123"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text("x")
    assert snakemake_records.without(run) == []
    assert snakemake_records.without(snakemake_records.Path("results/other")) == []
