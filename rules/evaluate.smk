"""Scores of heatmaps against masks, and the tables made of them; no torch here."""

SCORED = shamsul.config.canonical(
    {"explained": CONFIG.explained_classes, "listed": CONFIG.evaluate.classes}
)
SCORING = shamsul.config.canonical(
    {"classes": CONFIG.scored_classes, "sign": CONFIG.evaluate.sign}
)


use rule table_job as score with:
    """Compare the heatmaps of one method and shard with the masks, at every threshold."""
    input:
        checkpoint=f"{RUN}/model/checkpoint.pt",
        heatmaps=f"{RUN}/heatmaps/{{method}}/{{shard}}.h5",
        images=f"{RUN}/images/{{shard}}.h5",
        masks=shard_table("masks.parquet"),
        masked=MASKED,
        code=program("score"),
    output:
        scores=ensure(f"{RUN}/scores/{{method}}/{{shard}}.parquet", non_empty=True),
        signs=ensure(f"{RUN}/signs/{{method}}/{{shard}}.parquet", non_empty=True),
    pathvars:
        job=jobs("score/{method}/{shard}", **EVERY),
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        **command("score", settings=SCORING),


use rule table_job as quality with:
    """Summarise how far the methods' maps deviate from their promises, such as a sum."""
    input:
        checkpoint=f"{RUN}/model/checkpoint.pt",
        heatmaps=expand(f"{RUN}/heatmaps/{{method}}/{{shard}}.h5", **EVERY),
        manifests=shard_tables("parquet", *EXPLAINED),
        code=program("quality"),
    output:
        table=table("quality"),
    pathvars:
        job=jobs("quality"),
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        **command("quality"),


use rule table_job as per_image with:
    """Choose thresholds on tune, then measure every map."""
    input:
        scores=expand(f"{RUN}/scores/{{method}}/{{shard}}.parquet", **EVERY),
        sign_scores=expand(f"{RUN}/signs/{{method}}/{{shard}}.parquet", **EVERY),
        manifests=shard_tables("parquet", *EXPLAINED),
        masks=shard_tables("masks.parquet", *EXPLAINED),
        masked=MASKED,
        predictions=f"{RUN}/predictions.parquet",
        code=program("per_image"),
    output:
        per_image=table("per_image"),
        thresholds=table("thresholds"),
        pxap=ensure(f"{RUN}/pxap.parquet", non_empty=True),
        signs=table("signs"),
        markers=table("markers"),
    pathvars:
        job=jobs("per_image"),
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        **command(
            "per_image",
            settings=evaluate_settings(Measurement),
            methods=shamsul.config.canonical({"abstain": ABSTAINING}),
            classes=SCORED,
        ),


use rule table_job as compare with:
    """Summarise and compare the methods."""
    input:
        listed,
        per_image=f"{RUN}/tables/per_image.parquet",
        pxap=f"{RUN}/pxap.parquet",
        code=program("compare"),
    output:
        localisation=table("localisation"),
        comparisons=table("comparisons"),
        gains=table("gains"),
    pathvars:
        job=jobs("compare"),
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        **command(
            "compare",
            settings=evaluate_settings(Comparison),
            roles=shamsul.config.canonical(ROLES),
        ),


use rule table_job as stratify with:
    """Compare parts of the test set."""
    input:
        per_image=f"{RUN}/tables/per_image.parquet",
        manifests=shard_tables("parquet", "test"),
        masks=shard_tables("masks.parquet", "test"),
        code=program("stratify"),
    output:
        strata=table("strata"),
        regressions=table("regressions"),
    pathvars:
        job=jobs("stratify"),
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        # The IoU that lines are fitted to is of the first rule; of the roles the reader counts.
        **command(
            "stratify",
            settings=evaluate_settings(
                Stratification, thresholds=CONFIG.evaluate.thresholds[:1]
            ),
            roles=shamsul.config.canonical({"radiologist": ROLES["radiologist"]}),
        ),


use rule table_job as agreement with:
    """Compare the heatmaps of all methods on a shard with one another."""
    input:
        listed,
        checkpoint=f"{RUN}/model/checkpoint.pt",
        heatmaps=[f"{RUN}/heatmaps/{method}/{{shard}}.h5" for method in METHODS],
        images=f"{RUN}/images/{{shard}}.h5",
        masked=MASKED,
        code=program("agreement"),
    output:
        agreement=ensure(f"{RUN}/agreement/{{shard}}.parquet", non_empty=True),
    pathvars:
        job=jobs("agreement/{shard}", shard=SHARDS["test"]),
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        **command("agreement", settings=SCORING),


use rule table_job as summarise_agreement with:
    """Summarise the rank correlation of each pair of methods."""
    input:
        agreements=[f"{RUN}/agreement/{shard}.parquet" for shard in SHARDS["test"]],
        manifests=shard_tables("parquet", "test"),
        code=program("summarise_agreement"),
    output:
        table=table("agreement"),
    pathvars:
        job=jobs("summarise_agreement"),
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        **command("summarise_agreement", settings=evaluate_settings(Inference)),
