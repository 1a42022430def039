"""CheXlocalize's own figures, under `evaluate.protocol: chexlocalize`; no torch here."""

CHEXLOCALIZED = METHODS if CONFIG.evaluate.protocol == "chexlocalize" else {}


use rule table_job as chexlocalize with:
    """Measure one method as CheXlocalize's scripts do."""
    input:
        checkpoint=f"{RUN}/model/checkpoint.pt",
        heatmaps=lambda wildcards: [
            f"{RUN}/heatmaps/{wildcards.method}/{shard}.h5"
            for shard in EXPLAINED_SHARDS
        ],
        images=images(*EXPLAINED),
        masks=shard_tables("masks.parquet", *EXPLAINED),
        masked=MASKED,
        # Not the shards' whole manifests: a corrected label measures nothing anew.
        patients=shard_tables("patients.parquet", *EXPLAINED),
        predictions=f"{RUN}/predictions.parquet",
        code=program("chexlocalize"),
    output:
        per_image=ensure(f"{RUN}/chexlocalize/{{method}}.parquet", non_empty=True),
    pathvars:
        job=jobs("chexlocalize/{method}", method=CHEXLOCALIZED),
    resources:
        mem_mb=growing(2000),
        runtime=growing(240),
    params:
        **command(
            "chexlocalize",
            settings=lambda wildcards: shamsul.config.canonical(
                {
                    "method": wildcards.method,
                    "classes": CONFIG.scored_classes,
                    "chexlocalize": chexlocalize_options(wildcards.method),
                }
            ),
        ),


use rule table_job as chexlocalize_summary with:
    """Resample as CheXlocalize does, and compare with the human benchmark."""
    input:
        listed,
        per_image=[f"{RUN}/chexlocalize/{method}.parquet" for method in METHODS],
        code=program("chexlocalize_summary"),
    output:
        table=table("chexlocalize"),
    pathvars:
        job=jobs("chexlocalize_summary") if CHEXLOCALIZED else "chexlocalize_summary",
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        **command("chexlocalize_summary", human=ROLES["radiologist"]),
