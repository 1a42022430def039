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
        signs=ensure(f"{RUN}/signs/{{method}}/{{shard}}.parquet", non_empty=True),
    log:
        f"{RUN}/logs/score/{{method}}/{{shard}}.log",
    benchmark:
        f"{RUN}/benchmarks/score/{{method}}/{{shard}}.tsv"
    conda:
        "../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        software=software("score"),
        settings=shamsul.config.canonical(
            {"classes": CONFIG.scored_classes, "sign": CONFIG.evaluate.sign}
        ),
    shell:
        "python {input.code:q} --settings {params.settings:q} --heatmaps {input.heatmaps:q}"
        " --images {input.images:q} --masks {input.masks:q} --scores {output.scores:q}"
        " --signs {output.signs:q} 2>&1 | tee {log:q}"


rule quality:
    """How far the methods' maps are from what they promise, such as a sum."""
    input:
        heatmaps=expand(f"{RUN}/heatmaps/{{method}}/{{shard}}.h5", **EVERY),
        manifests=shard_tables("parquet", *EXPLAINED),
        code=program("quality"),
    output:
        table=table("quality"),
    log:
        f"{RUN}/logs/quality.log",
    benchmark:
        f"{RUN}/benchmarks/quality.tsv"
    conda:
        "../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        software=software("quality"),
        heatmaps=lambda wildcards: spread(
            f"{RUN}/heatmaps/{{method}}/{{shard}}.h5", **EVERY
        ),
    shell:
        "python {input.code:q} --heatmaps {params.heatmaps} --manifests {input.manifests:q}"
        " --table {output.table:q} 2>&1 | tee {log:q}"


rule per_image:
    """Choose thresholds on tune, then measure every map."""
    input:
        scores=expand(f"{RUN}/scores/{{method}}/{{shard}}.parquet", **EVERY),
        signs=expand(f"{RUN}/signs/{{method}}/{{shard}}.parquet", **EVERY),
        manifests=shard_tables("parquet", *EXPLAINED),
        predictions=f"{RUN}/predictions.parquet",
        code=program("per_image"),
    output:
        per_image=table("per_image"),
        thresholds=table("thresholds"),
        pxap=ensure(f"{RUN}/pxap.parquet", non_empty=True),
        signs=table("signs"),
        markers=table("markers"),
    log:
        f"{RUN}/logs/per_image.log",
    benchmark:
        f"{RUN}/benchmarks/per_image.tsv"
    conda:
        "../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        software=software("per_image"),
        settings=evaluate_settings("thresholds", "fixed_threshold", "min_masks", *RESAMPLING),
        scores=lambda wildcards: spread(
            f"{RUN}/scores/{{method}}/{{shard}}.parquet", **EVERY
        ),
        signs=lambda wildcards: spread(
            f"{RUN}/signs/{{method}}/{{shard}}.parquet", **EVERY
        ),
    shell:
        "python {input.code:q} --settings {params.settings:q} --scores {params.scores}"
        " --sign-scores {params.signs} --manifests {input.manifests:q}"
        " --predictions {input.predictions:q} --per-image {output.per_image:q}"
        " --thresholds {output.thresholds:q} --pxap {output.pxap:q} --signs {output.signs:q}"
        " --markers {output.markers:q} 2>&1 | tee {log:q}"


rule compare:
    """Summarise and compare the methods."""
    input:
        per_image=f"{RUN}/tables/per_image.parquet",
        pxap=f"{RUN}/pxap.parquet",
        code=program("compare"),
    output:
        localisation=table("localisation"),
        comparisons=table("comparisons"),
        gains=table("gains"),
    log:
        f"{RUN}/logs/compare.log",
    benchmark:
        f"{RUN}/benchmarks/compare.tsv"
    conda:
        "../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        software=software("compare"),
        settings=evaluate_settings("baseline", *RESAMPLING),
        roles=shamsul.config.canonical(ROLES),
    shell:
        "python {input.code:q} --settings {params.settings:q} --roles {params.roles:q}"
        " --per-image {input.per_image:q} --pxap {input.pxap:q}"
        " --localisation {output.localisation:q} --comparisons {output.comparisons:q}"
        " --gains {output.gains:q} 2>&1 | tee {log:q}"


rule stratify:
    """Look at parts of the test set."""
    input:
        per_image=f"{RUN}/tables/per_image.parquet",
        manifests=shard_tables("parquet", "test"),
        masks=shard_tables("masks.parquet", "test"),
        code=program("stratify"),
    output:
        strata=table("strata"),
        regressions=table("regressions"),
    log:
        f"{RUN}/logs/stratify.log",
    benchmark:
        f"{RUN}/benchmarks/stratify.tsv"
    conda:
        "../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        software=software("stratify"),
        # The IoU that lines are fitted to is of the first rule; of the roles the reader counts.
        settings=shamsul.config.canonical(
            {
                "seed": CONFIG.seed,
                "evaluate": {"thresholds": CONFIG.evaluate.thresholds[:1]}
                | {
                    key: getattr(CONFIG.evaluate, key)
                    for key in ("true_positive", *RESAMPLING)
                },
            }
        ),
        roles=shamsul.config.canonical({"radiologist": ROLES["radiologist"]}),
    shell:
        "python {input.code:q} --settings {params.settings:q} --roles {params.roles:q}"
        " --per-image {input.per_image:q} --manifests {input.manifests:q}"
        " --masks {input.masks:q} --strata {output.strata:q}"
        " --regressions {output.regressions:q} 2>&1 | tee {log:q}"


rule agreement:
    """Compare the heatmaps of all methods on a shard with one another."""
    input:
        heatmaps=[f"{RUN}/heatmaps/{method}/{{shard}}.h5" for method in METHODS],
        images=f"{RUN}/images/{{shard}}.h5",
        code=program("agreement"),
    output:
        agreement=ensure(f"{RUN}/agreement/{{shard}}.parquet", non_empty=True),
    log:
        f"{RUN}/logs/agreement/{{shard}}.log",
    benchmark:
        f"{RUN}/benchmarks/agreement/{{shard}}.tsv"
    conda:
        "../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        software=software("agreement"),
        settings=shamsul.config.canonical(
            {"classes": CONFIG.scored_classes, "sign": CONFIG.evaluate.sign}
        ),
    shell:
        "python {input.code:q} --settings {params.settings:q} --heatmaps {input.heatmaps:q}"
        " --images {input.images:q} --agreement {output.agreement:q} 2>&1 | tee {log:q}"


rule summarise_agreement:
    """Mean rank correlation of each pair of methods."""
    input:
        agreements=[f"{RUN}/agreement/{shard}.parquet" for shard in SHARDS["test"]],
        manifests=shard_tables("parquet", "test"),
        code=program("summarise_agreement"),
    output:
        table=table("agreement"),
    log:
        f"{RUN}/logs/summarise_agreement.log",
    benchmark:
        f"{RUN}/benchmarks/summarise_agreement.tsv"
    conda:
        "../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        software=software("summarise_agreement"),
        settings=evaluate_settings(*RESAMPLING),
    shell:
        "python {input.code:q} --settings {params.settings:q}"
        " --agreements {input.agreements:q} --manifests {input.manifests:q}"
        " --table {output.table:q} 2>&1 | tee {log:q}"
