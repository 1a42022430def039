"""Time and memory of every job, and the report."""

from shamsul.report.sections import needed

REPORT_TABLES = {name: f"{RUN}/tables/{name}.parquet" for name in existing(CONFIG)}


use rule table_job as runtime with:
    """Collect the jobs' time and memory."""
    input:
        listed,
        # Whatever job ran again, one of these tables is made again after it. Were the measurements
        # themselves an input, losing them would run every job again.
        watched=[path for name, path in REPORT_TABLES.items() if name != "runtime"],
        code=program("runtime"),
    output:
        table=table("runtime"),
    pathvars:
        job="runtime",
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        **command("runtime", folder=f"{PLACE}/benchmarks", benchmarks=benchmarks),


rule report:
    """Write the report, one page in one file."""
    input:
        # What a section reads; the other inputs are there for every section.
        tables=[REPORT_TABLES[name] for name in needed() if name in REPORT_TABLES]
        + [f"{RUN}/predictions.parquet"],
        manifests=shard_tables("parquet", *SPLITS),
        masks=shard_tables("masks.parquet", "test"),
        masked=MASKED,
        images=images("test"),
        heatmaps=expand(f"{RUN}/heatmaps/{{method}}/{{shard}}.h5", **TESTED),
        # Their digests are part of the provenance.
        digests=[f"{RUN}/model/checkpoint.pt", *DATA_FILES],
        code=program("report"),
    output:
        html=report(
            ensure(f"{RUN}/report.html", non_empty=True),
            caption="../captions/report.rst",
            category="Report",
        ),
        configuration=ensure(f"{RUN}/configuration.json", non_empty=True),
    log:
        f"{RUN}/logs/report.log",
    benchmark:
        f"{RUN}/benchmarks/report.tsv"
    conda:
        "../envs/tables.yaml"
    threads: 1
    resources:
        roots=ROOTS_JSON,
        names=NAMES,
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        **command(
            "report",
            # No import leads to a section or a template: they are found in their folder.
            more=sorted(
                str(file)
                for kind in ("html", "css", "py")
                for file in (LIBRARY / "shamsul" / "report").rglob(f"*.{kind}")
            ),
            settings=shamsul.config.canonical(
                {
                    "config": shown_configuration(),
                    "kinds": method_kinds(),
                    "foreign": foreign_methods(),
                    "simulated": EXPERIMENT.simulated_readers,
                    "missing": MISSING,
                }
            ),
        ),
    shell:
        "python {input.code:q} {params.options} --roots {resources.roots:q} {resources.names}"
        " 2>&1 | tee {log:q}"
