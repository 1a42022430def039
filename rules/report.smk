"""Time and memory of every job, and the report."""


rule runtime:
    """Collect the jobs' time and memory."""
    input:
        benchmarks=benchmarks,
        code=program("runtime"),
    output:
        table=f"{RUN}/tables/runtime.parquet",
    log:
        f"{RUN}/logs/runtime.log",
    benchmark:
        f"{RUN}/benchmarks/runtime.tsv"
    conda:
        "../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        folder=f"{RUN}/benchmarks",
    shell:
        "python {input.code[0]} --folder {params.folder:q} --benchmarks {input.benchmarks:q}"
        " --table {output.table:q} 2>&1 | tee {log:q}"


rule report:
    """Everything on one page, in one file."""
    input:
        classification=f"{RUN}/tables/classification.parquet",
        history=f"{RUN}/tables/history.parquet",
        localisation=f"{RUN}/tables/localisation.parquet",
        per_image=f"{RUN}/tables/per_image.parquet",
        comparisons=f"{RUN}/tables/comparisons.parquet",
        thresholds=f"{RUN}/tables/thresholds.parquet",
        quality=f"{RUN}/tables/quality.parquet",
        runtime=f"{RUN}/tables/runtime.parquet",
        predictions=f"{RUN}/predictions.parquet",
        manifests=shard_tables("parquet", *SPLITS),
        masks=shard_tables("masks.parquet", "test"),
        images=images("test"),
        heatmaps=[
            f"{RUN}/heatmaps/{method}/{shard}.h5"
            for method in METHODS
            for shard in SHARDS["test"]
        ],
        # Their digests are part of the provenance.
        checkpoint=f"{RUN}/model/checkpoint.pt",
        files=list(sources.input_files(CONFIG.data, ROOTS)),
        code=program("report", "shamsul/report/report.html", "shamsul/report/style.css"),
    output:
        html=report(f"{RUN}/report.html", category="Report"),
    log:
        f"{RUN}/logs/report.log",
    benchmark:
        f"{RUN}/benchmarks/report.tsv"
    conda:
        "../envs/tables.yaml"
    threads: 1
    resources:
        roots=ROOTS_JSON,
        mem_mb=4000,
        runtime=30,
    params:
        settings=shamsul.config.canonical({"config": shown_configuration()}),
    shell:
        "python {input.code[0]} --settings {params.settings:q}"
        " --classification {input.classification:q} --history {input.history:q}"
        " --localisation {input.localisation:q} --per-image {input.per_image:q}"
        " --comparisons {input.comparisons:q} --thresholds {input.thresholds:q}"
        " --quality {input.quality:q} --runtime {input.runtime:q} --predictions {input.predictions:q}"
        " --manifests {input.manifests:q} --masks {input.masks:q} --images {input.images:q}"
        " --heatmaps {input.heatmaps:q} --roots {resources.roots:q}"
        " --digests {input.checkpoint:q} {input.files:q} --html {output.html:q}"
        " 2>&1 | tee {log:q}"
