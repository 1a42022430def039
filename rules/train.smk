"""Classifier, trained here or given, with its predictions and its performance."""

if not CONFIG.model.trained:

    use rule model_job as train with:
        """Train the classifier, from the last epoch if a training was interrupted."""
        input:
            train_images=images("train"),
            train_manifests=shard_tables("parquet", "train"),
            tune_images=images("tune"),
            tune_manifests=shard_tables("parquet", "tune"),
            # The settings name them too.
            watched=given(*inspection.given_files(CONFIG.model)),
            code=program("train"),
        output:
            checkpoint=ensure(f"{RUN}/model/checkpoint.pt", non_empty=True),
            history=table("history"),
        pathvars:
            job=jobs("train"),
        threads: CONFIG.train.threads * CONFIG.train.processes
        resources:
            device=DEVICE,
            batch_size=BATCH_SIZE,
            mem_mb=growing(16000),
            # A retry goes on from the last epoch and needs no more time.
            runtime=2880,
            gpu=GPU * CONFIG.train.processes,
        params:
            **command(
                "train",
                more=network_code,
                settings=CONFIG.part("seed", "classes", "data.size", "model", "train"),
                # Not an output: Snakemake deletes the outputs of a job that is killed.
                state=f"{PLACE}/model/training.state",
            ),

else:

    use rule table_job as import_checkpoint with:
        """Take a checkpoint that was trained elsewhere; nothing is trained."""
        input:
            watched=given(*inspection.given_files(CONFIG.model)),
            code=program("import_checkpoint"),
        output:
            checkpoint=ensure(f"{RUN}/model/checkpoint.pt", non_empty=True),
            history=table("history"),
        pathvars:
            job=jobs("import_checkpoint"),
        conda:
            "../envs/torch.yaml"
        resources:
            mem_mb=growing(4000),
            runtime=growing(10),
        params:
            **command(
                "import_checkpoint",
                more=network_code,
                settings=CONFIG.part("classes", "data.size", "model"),
            ),

    rule train:
        """Make the classifier, trained or imported; a target."""
        input:
            f"{RUN}/model/checkpoint.pt",


use rule model_job as predict with:
    """Predict the logit and probability of every class of every tune and test image."""
    input:
        listed,
        checkpoint=f"{RUN}/model/checkpoint.pt",
        images=images(*EXPLAINED),
        code=program("predict"),
    output:
        predictions=ensure(f"{RUN}/predictions.parquet", non_empty=True),
    pathvars:
        job=jobs("predict"),
    resources:
        device=DEVICE,
        batch_size=BATCH_SIZE,
        mem_mb=growing(4000),
        runtime=growing(60),
        gpu=GPU,
    params:
        **command("predict", more=network_code),


use rule table_job as classify with:
    """Measure AUROC, AUPRC and calibration of each class, with intervals over patients."""
    input:
        predictions=f"{RUN}/predictions.parquet",
        manifests=shard_tables("parquet", *EXPLAINED),
        code=program("classify"),
    output:
        table=table("classification"),
        errors=table("reliability"),
        bins=table("reliability_bins"),
    pathvars:
        job=jobs("classify"),
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        **command(
            "classify",
            settings=evaluate_settings(Inference),
        ),
