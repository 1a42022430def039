"""Scores of heatmaps against masks, and the tables made of them; no torch here."""


rule score:
    """Compare the heatmaps of one method and shard with the masks, at every threshold."""
    input:
        heatmaps=f"{RUN}/heatmaps/{{method}}/{{shard}}.h5",
        images=f"{RUN}/images/{{shard}}.h5",
        masks=shard_table("masks.parquet"),
        code=program("score"),
    output:
        scores=ensure(f"{RUN}/scores/{{method}}/{{shard}}.parquet", non_empty=True),
    log:
        f"{RUN}/logs/score/{{method}}/{{shard}}.log",
    benchmark:
        f"{RUN}/benchmarks/score/{{method}}/{{shard}}.tsv"
    conda:
        "../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        settings=shamsul.config.canonical({"classes": CONFIG.scored_classes}),
    shell:
        "python {input.code[0]} --settings {params.settings:q} --heatmaps {input.heatmaps:q}"
        " --images {input.images:q} --masks {input.masks:q} --scores {output.scores:q}"
        " 2>&1 | tee {log:q}"


rule quality:
    """How far the methods' maps are from what they promise, such as a sum."""
    input:
        heatmaps=[
            f"{RUN}/heatmaps/{method}/{shard}.h5"
            for method in METHODS
            for shard in EXPLAINED_SHARDS
        ],
        manifests=shard_tables("parquet", *EXPLAINED),
        code=program("quality"),
    output:
        table=f"{RUN}/tables/quality.parquet",
    log:
        f"{RUN}/logs/quality.log",
    benchmark:
        f"{RUN}/benchmarks/quality.tsv"
    conda:
        "../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    shell:
        "python {input.code[0]} --heatmaps {input.heatmaps:q} --manifests {input.manifests:q}"
        " --table {output.table:q} 2>&1 | tee {log:q}"


rule localise:
    """Choose thresholds on tune, then measure, summarise and compare the methods."""
    input:
        scores=[
            f"{RUN}/scores/{method}/{shard}.parquet"
            for method in METHODS
            for shard in EXPLAINED_SHARDS
        ],
        manifests=shard_tables("parquet", *EXPLAINED),
        predictions=f"{RUN}/predictions.parquet",
        code=program("localise"),
    output:
        per_image=f"{RUN}/tables/per_image.parquet",
        localisation=f"{RUN}/tables/localisation.parquet",
        comparisons=f"{RUN}/tables/comparisons.parquet",
        thresholds=f"{RUN}/tables/thresholds.parquet",
    log:
        f"{RUN}/logs/localise.log",
    benchmark:
        f"{RUN}/benchmarks/localise.tsv"
    conda:
        "../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        settings=CONFIG.part("seed", "evaluate"),
    shell:
        "python {input.code[0]} --settings {params.settings:q} --scores {input.scores:q}"
        " --manifests {input.manifests:q} --predictions {input.predictions:q}"
        " --per-image {output.per_image:q} --localisation {output.localisation:q}"
        " --comparisons {output.comparisons:q} --thresholds {output.thresholds:q}"
        " 2>&1 | tee {log:q}"
