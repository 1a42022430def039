"""CheXlocalize's own figures, under `evaluate.protocol: chexlocalize`; no torch here."""


rule chexlocalize:
    """Measure one method as CheXlocalize's scripts do."""
    input:
        heatmaps=lambda wildcards: [
            f"{RUN}/heatmaps/{wildcards.method}/{shard}.h5"
            for shard in EXPLAINED_SHARDS
        ],
        images=images(*EXPLAINED),
        masks=shard_tables("masks.parquet", *EXPLAINED),
        # Not the shards' whole manifests: a corrected label measures nothing anew.
        patients=shard_tables("patients.parquet", *EXPLAINED),
        predictions=f"{RUN}/predictions.parquet",
        code=program("chexlocalize"),
    output:
        per_image=ensure(f"{RUN}/chexlocalize/{{method}}.parquet", non_empty=True),
    log:
        f"{RUN}/logs/chexlocalize/{{method}}.log",
    benchmark:
        f"{RUN}/benchmarks/chexlocalize/{{method}}.tsv"
    conda:
        "../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(240),
    params:
        software=software("chexlocalize"),
        settings=lambda wildcards: shamsul.config.canonical(
            {
                "method": wildcards.method,
                "classes": CONFIG.scored_classes,
                "chexlocalize": chexlocalize_options(wildcards.method),
            }
        ),
    shell:
        "python {input.code:q} --settings {params.settings:q} --heatmaps {input.heatmaps:q}"
        " --images {input.images:q} --masks {input.masks:q} --patients {input.patients:q}"
        " --predictions {input.predictions:q} --per-image {output.per_image:q} 2>&1 | tee {log:q}"


rule chexlocalize_summary:
    """Resample as CheXlocalize does, and compare with the human benchmark."""
    input:
        per_image=[f"{RUN}/chexlocalize/{method}.parquet" for method in METHODS],
        code=program("chexlocalize_summary"),
    output:
        table=table("chexlocalize"),
    log:
        f"{RUN}/logs/chexlocalize_summary.log",
    benchmark:
        f"{RUN}/benchmarks/chexlocalize_summary.tsv"
    conda:
        "../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        software=software("chexlocalize_summary"),
        human=f"--human {ROLES['radiologist']}" if ROLES["radiologist"] else "",
    shell:
        "python {input.code:q} --per-image {input.per_image:q} {params.human}"
        " --table {output.table:q} 2>&1 | tee {log:q}"
