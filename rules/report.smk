"""Time and memory of every job, and the report."""

from shamsul.report.sections import needed

REPORT_TABLES = {name: f"{RUN}/tables/{name}.parquet" for name in existing(CONFIG)}


rule runtime:
    """Collect the jobs' time and memory."""
    input:
        # Whatever job ran again, one of these tables is made again after it. Were the measurements
        # themselves an input, losing them would run every job again.
        tables=[path for name, path in REPORT_TABLES.items() if name != "runtime"],
        code=program("runtime"),
    output:
        table=table("runtime"),
    log:
        f"{RUN}/logs/runtime.log",
    benchmark:
        f"{RUN}/benchmarks/runtime.tsv"
    conda:
        "../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        software=software("runtime"),
        folder=f"{RUN}/benchmarks",
        benchmarks=lambda wildcards: benchmarks(),
    shell:
        "python {input.code:q} --folder {params.folder:q} --benchmarks {params.benchmarks}"
        " --table {output.table:q} 2>&1 | tee {log:q}"


rule report:
    """Everything on one page, in one file."""
    input:
        # What a section reads; the other inputs are there for every section.
        tables=[REPORT_TABLES[name] for name in needed() if name in REPORT_TABLES],
        predictions=f"{RUN}/predictions.parquet",
        manifests=shard_tables("parquet", *SPLITS),
        masks=shard_tables("masks.parquet", "test"),
        images=images("test"),
        heatmaps=expand(f"{RUN}/heatmaps/{{method}}/{{shard}}.h5", **TESTED),
        # Their digests are part of the provenance.
        checkpoint=f"{RUN}/model/checkpoint.pt",
        files=list(sources.input_files(CONFIG.data, ROOTS)),
        code=program("report"),
    output:
        html=report(
            ensure(f"{RUN}/report.html", non_empty=True),
            caption="../captions/report.rst",
            category="Report",
        ),
    log:
        f"{RUN}/logs/report.log",
    benchmark:
        f"{RUN}/benchmarks/report.tsv"
    conda:
        "../envs/tables.yaml"
    threads: 1
    resources:
        roots=ROOTS_JSON,
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        software=software(
            "report",
            # No import leads to a section or a template: they are found in their folder.
            *sorted(
                str(file.relative_to(PROJECT))
                for kind in ("html", "css", "py")
                for file in (PROJECT / "shamsul" / "report").rglob(f"*.{kind}")
            ),
        ),
        settings=shamsul.config.canonical(
            {
                "config": shown_configuration(),
                "kinds": method_kinds(),
                "foreign": foreign_methods(),
                "missing": MISSING,
            }
        ),
        heatmaps=lambda wildcards: spread(
            f"{RUN}/heatmaps/{{method}}/{{shard}}.h5", **TESTED
        ),
    shell:
        "python {input.code:q} --settings {params.settings:q}"
        " --tables {input.tables:q} {input.predictions:q}"
        " --manifests {input.manifests:q} --masks {input.masks:q} --images {input.images:q}"
        " --heatmaps {params.heatmaps} --roots {resources.roots:q}"
        " --digests {input.checkpoint:q} {input.files:q} --html {output.html:q}"
        " 2>&1 | tee {log:q}"
